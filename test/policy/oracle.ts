// What careless upstreams make of a path: an oracle for tests that shares no code with the gate.

const OVERLONG: readonly (readonly [RegExp, string])[] = [
  [/\xc0\xae|\xe0\x80\xae|\xf0\x80\x80\xae|\xf8\x80\x80\x80\xae|\xfc\x80\x80\x80\x80\xae/g, '.'],
  [/\xc0\xaf|\xe0\x80\xaf|\xf0\x80\x80\xaf|\xf8\x80\x80\x80\xaf|\xfc\x80\x80\x80\x80\xaf/g, '/'],
  [/\xc0\x2e|\xc0\x5e|\xc0\xfe/g, '.'],
  [/\xc0\x2f|\xc0\x6f|\xc0\xef/g, '/'],
  [/\xc1\x9c/g, '\\'],
]

/** The path as bytes after so many rounds of lenient decoding, `\` read as `/`. */
export function decoded(path: string, rounds: number): string {
  let now = Buffer.from(path, 'utf8').toString('latin1')
  for (let round = 0; round < rounds; round++) {
    now = now
      .replace(/%u([0-9a-f]{4})/gi, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16) & 0xff),
      )
      .replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      )
  }
  for (const [pattern, plain] of OVERLONG) now = now.replace(pattern, plain)
  const folded = Buffer.from(now, 'latin1').toString('utf8').normalize('NFKC')
  return folded.replaceAll('\\', '/')
}

/** Whether a path leaves `prefix` (a whole directory) for an upstream that decodes so often. */
export function escapes(path: string, prefix: string, rounds: number): boolean {
  const full = decoded(path, rounds)
  return [full, full.split('\u0000')[0] ?? '', full.replace(/;[^/]*/g, '')].some((one) => {
    const out: string[] = []
    for (const part of one.split('/')) {
      const name = part.trim()
      if (name === '..') out.pop()
      else if (name !== '' && name !== '.') out.push(name)
    }
    const inside = `/${out.join('/')}/`.startsWith(prefix)
    return !inside || one.startsWith('//') || /^[a-z]+:/i.test(one)
  })
}
