/** What is read of a value: all of it, or these members. */
export type Projection = true | ReadonlyMap<string, Projection>

/** A value without what is never read of it. Parts that stay are not copied. */
export function project(reads: Projection, value: unknown): unknown {
  if (reads === true || value === null || typeof value !== 'object' || Array.isArray(value)) {
    return value
  }
  const members = value as Readonly<Record<string, unknown>>
  const kept = Object.create(null) as Record<string, unknown>
  for (const [key, inner] of reads) {
    if (Object.hasOwn(members, key)) kept[key] = project(inner, members[key])
  }
  return kept
}
