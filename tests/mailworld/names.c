/* See names.h. */
#include "tests/mailworld/names.h"

const char *const mw_firsts[MW_FIRSTS] = {
	"adam",	 "agnes",  "aisha",  "alan",  "alice", "amir",	"anna",	  "anton",
	"arjun", "astrid", "bella",  "boris", "bruno", "carla", "carlos", "celia",
	"chloe", "clara",  "daniel", "daria", "david", "diego", "dora",	  "edith",
	"elena", "elias",  "emil",   "emma",  "erik",  "esra",	"eva",	  "fatima",
	"felix", "finn",   "fiona",  "greta", "hana",  "hugo",	"ines",	  "ivan",
	"jana",	 "jonas",  "judit",  "julia", "kemal", "lars",	"lena",	  "liam",
	"livia", "lucas",  "maja",   "marco", "marta", "mei",	"milan",  "nadia",
	"nora",	 "oskar",  "paula",  "petra", "rosa",  "samir", "sofia",  "tomas",
};
const char *const mw_lasts[MW_LASTS] = {
	"abbott",   "ahlberg",	"almeida",   "bakker",	"barros",    "bauer",	"becker",
	"bernard",  "bianchi",	"bishop",    "braun",	"brooks",    "carter",	"castro",
	"chen",	    "conti",	"cooper",    "costa",	"dubois",    "duarte",	"eriksen",
	"esposito", "farkas",	"ferrari",   "fischer", "fontaine",  "foster",	"garcia",
	"gomez",    "greco",	"haas",	     "hansen",	"hoffmann",  "horvath", "hughes",
	"ibarra",   "ivanov",	"jansen",    "jensen",	"johansson", "kaya",	"keller",
	"klein",    "kovacs",	"kowalski",  "kumar",	"larsen",    "laurent", "lehmann",
	"lindgren", "lopez",	"marchetti", "martin",	"meyer",     "moreau",	"murphy",
	"nagy",	    "nakamura", "nilsson",   "novak",	"okafor",    "olsen",	"pereira",
	"peeters",  "popescu",	"ricci",     "rossi",	"santos",    "sato",	"schmidt",
	"silva",    "singh",	"suzuki",    "tanaka",	"toth",	     "vargas",	"virtanen",
	"weber",    "yilmaz",	"zimmer",
};
const char *const mw_adjectives[MW_ADJECTIVES] = {
	"amber",  "ancient", "autumn", "azure", "bold",	   "brisk", "bright", "calm",
	"cedar",  "clear",   "cobalt", "coral", "crimson", "early", "fair",   "fresh",
	"gentle", "golden",  "grand",  "green", "happy",   "ivory", "jade",   "keen",
	"lively", "lunar",   "mellow", "noble", "north",   "olive", "proud",  "quiet",
	"rapid",  "royal",   "silver", "solid", "south",   "swift", "tidy",   "warm",
};
const char *const mw_nouns[MW_NOUNS] = {
	"anchor", "bakery",  "bridge",	"brook",   "canyon",  "castle",	 "clinic", "dairy",
	"falcon", "farm",    "forge",	"foundry", "garden",  "glass",	 "harbor", "hill",
	"hotel",  "journal", "kitchen", "lantern", "library", "maple",	 "market", "meadow",
	"mill",	  "museum",  "office",	"orchard", "paper",   "pottery", "quarry", "river",
	"school", "stone",   "studio",	"tailor",  "timber",  "travel",	 "valley", "works",
};
const char *const mw_bad_cells[MW_BAD_CELLS] = {
	"no-at-sign",
	"two@@signs.test",
	"blank inside@example.test",
	".leading.dot@example.test",
	"trailing.dot.@example.test",
	"double..dot@example.test",
	"@example.test",
	"nobody@",
	"dots@example..test",
	"hyphen@-example.test",
	"Ann Meyer <ann@example.test>",
	"mailto:ann@example.test",
	"angle<bracket@example.test",
	"open(paren@example.test",
	"a-local-part-that-goes-on-for-more-than-the-sixty-four-octets-it-may-have@example.test",
	"semi;colon@example.test",
};

const char *const mw_utf8_firsts[MW_UTF8_FIRSTS] = {
	"j\xc3\xbcrgen",
	"zo\xc3\xab",
	"ren\xc3\xa9",
	"s\xc3\xb8ren",
	"\xc5\x81ukasz",
	"\xce\x9d\xce\xaf\xce\xba\xce\xbf\xcf\x82",
	"\xd0\x9e\xd0\xbb\xd1\x8c\xd0\xb3\xd0\xb0",
	"\xe8\x8a\xb1\xe5\xad\x90",
};

const struct mw_idn_label mw_idn_labels[MW_IDN_LABELS] = {
	{ "b\xc3\xbc"
	  "cher",
	  "xn--bcher-kva" },
	{ "m\xc3\xbcnchen", "xn--mnchen-3ya" },
	{ "caf\xc3\xa9", "xn--caf-dma" },
	{ "\xd0\xbf\xd0\xbe\xd1\x87\xd1\x82\xd0\xb0", "xn--80a1acny" },
	{ "\xe4\xbe\x8b\xe5\xad\x90", "xn--fsqu00a" },
};
