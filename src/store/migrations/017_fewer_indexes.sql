-- An index costs every row. These are kept for what they find, and not for what nearly all rows are: a decision
-- and an outcome each, allowed, ended. Times run with `seq`, so a summary of each range of blocks finds them.
drop index audit_entries_at;
create index audit_entries_at on audit_entries using brin (at) with (pages_per_range = 16);
drop index audit_entries_kind;
create index audit_entries_kind on audit_entries (kind, seq) where kind not in ('decision', 'outcome');
create index audit_entries_effect on audit_entries (effect, seq)
  where effect in ('deny', 'require_approval');

drop index actions_open;
drop index actions_executing;
create index actions_executing on actions (agent_id, replica_id) where state = 'executing';
create index actions_open on actions (state) where state in ('held', 'indeterminate');
