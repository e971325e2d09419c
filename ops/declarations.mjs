// What the compiler writes as types of every file, reduced to those of the package's doors: a program that imports
// `portcullis/rego` needs the types of rego/index and of whatever that names, and of nothing else.
import fs from 'node:fs'
import path from 'node:path'

const IMPORT = /(\bfrom |\bimport\()(['"])(\.[^'"]+)\.ts\2/g

/** Keeps the declarations that `doors` (such as `rego/index`) lead to, naming files as they are in `dist`. */
export function keepDeclarations(dist, doors) {
  const kept = new Set()
  const queue = doors.map((door) => path.join(dist, `${door}.d.ts`))
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (kept.has(file)) continue
    kept.add(file)
    const text = fs.readFileSync(file, 'utf8')
    for (const [, , , name] of text.matchAll(IMPORT)) {
      queue.push(path.resolve(path.dirname(file), `${name}.d.ts`))
    }
    // TypeScript rewrites `./x.ts` in what runs, and leaves it in what declares.
    fs.writeFileSync(file, text.replaceAll(IMPORT, '$1$2$3.js$2'))
  }
  for (const name of fs.readdirSync(dist, { recursive: true })) {
    const file = path.join(dist, name)
    if (file.endsWith('.d.ts') && !kept.has(file)) fs.rmSync(file)
  }
}
