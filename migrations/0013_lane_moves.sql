-- A move is on record for each row, and a lane that waits along with a greylister is not called slow.
--
-- lane_hold.health has one more: 4 greylisted by the lane's address alone, until then.
ALTER TABLE lane_move ADD COLUMN uids int8multirange;   -- which rows; null: look-ups
