const named = (column: string, source: string): string => {
  const member = column.replaceAll(/_([a-z0-9])/g, (_, char: string) => char.toUpperCase())
  return member === column ? source : `${source} as "${member}"`
}

/**
 * A list of columns as a statement selects or returns them: named as the members of the noun they make, so
 * that snake_case ends where a table does (`agent_id` -> `agent_id as "agentId"`). `table`: where they stand.
 */
export function columns(names: string, table = ''): string {
  const prefix = table === '' ? '' : `${table}.`
  return names
    .trim()
    .split(/,\s*/)
    .map((column) => named(column, `${prefix}${column}`))
    .join(', ')
}
