-- Access requests whose clear text is to be wiped, by when.
create index access_tasks_clear on access_tasks (expires_at) where sealed <> '';
