/** Whether what is for certain roles is for an agent that has these. For no role in particular: for all. */
export const isForRoles = (
  { roles }: { readonly roles: ReadonlySet<string> },
  had: readonly string[],
): boolean => roles.size === 0 || had.some((role) => roles.has(role))
