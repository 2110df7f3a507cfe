/* What a hostile server does in place of an answer: see smtp_parts.h. */
#include "tests/mailworld/smtp_parts.h"

static bool acts_at(const struct mw_turn *turn, enum mw_stage stage)
{
	const struct mw_behaviour *server = turn->server;

	if ((server->server & MW_ONCE) && turn->session->ordinal > 1)
		return false;
	return stage == (server->variants == MW_STAGES ? (enum mw_stage)turn->operator_->variant
						       : server->stage);
}

enum mw_next mw_hostile_turn(struct mw_turn *turn, enum mw_stage stage)
{
	if (!turn->server->hostile || !acts_at(turn, stage))
		return MW_GO_ON;
	turn->smtp->stats->hostile++;
	switch (turn->server->hostile) {
	case MW_KIND:
		return MW_GO_ON;
	case MW_RESETS:
		return MW_RESET;
	case MW_HANGS_UP:
		return MW_CLOSE;
	case MW_HALF_CLOSES:
		return MW_HALF_CLOSE;
	case MW_SAYS_421:
		turn->smtp->stats->cut_by_421++;
		mw_say(turn,
		       "421 4.3.2 $h Service shutting down, closing transmission channel\r\n");
		return MW_CLOSE;
	case MW_KEEPS_SILENT:
		return MW_MUTE;
	case MW_TRICKLES:
		mw_say(turn, "220-x");
		return MW_TRICKLE;
	case MW_NEVER_ENDS:
		mw_say(turn,
		       stage == MW_AT_GREETING ? "220-$h here\r\n220-" : "250-$h here\r\n250-");
		return MW_FLOOD_LINES;
	case MW_HUGE_LINE:
		mw_say(turn, stage == MW_AT_GREETING ? "220 " : "250 ");
		return MW_FLOOD_LINE;
	case MW_CHANGES_CODE:
		mw_say(turn, "250-$h is glad\r\n550-5.1.1 or perhaps it is not\r\n250 it is\r\n");
		return MW_MUTE;
	case MW_CODE_000:
		mw_say(turn, "000 nothing\r\n");
		return MW_MUTE;
	case MW_CODE_999:
		mw_say(turn, "999 a lot\r\n");
		return MW_MUTE;
	case MW_NO_LINE_END:
		mw_say(turn, stage == MW_AT_GREETING ? "220 $h is almost done" : "250 almost done");
		return MW_MUTE;
	}
	return MW_GO_ON;
}
