-- Which mail server gave the random control's answer: it vouches for no other (docs/verdicts.md). Null: not known.
ALTER TABLE domain_knowledge ADD COLUMN control_host text;
