/** Every page: where it is, what it is called, and the letter that leads there after `g`. */
export const PAGES = [
  ['/', 'Overview', 'o'],
  ['/approvals', 'Approvals', 'a'],
  ['/live', 'Live', 'l'],
  ['/actions', 'Actions', 'c'],
  ['/agents', 'Agents', 'n'],
  ['/alerts', 'Alerts', 't'],
  ['/policies', 'Policies', 'p'],
  ['/spend', 'Spend', 's'],
  ['/models', 'Models', 'm'],
  ['/mcp', 'MCP servers', 'x'],
  ['/audit', 'Audit', 'u'],
  ['/kill', 'Kill switch', 'k'],
  ['/settings', 'Settings', 'e'],
] as const

/** The page that a path belongs to. */
export const pageOf = (path: string): (typeof PAGES)[number] | undefined =>
  PAGES.find(([to]) => (to === '/' ? path === '/' : path === to || path.startsWith(`${to}/`)))
