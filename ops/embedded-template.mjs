// Makes the empty database that a first start of the embedded one unpacks: dist/store/embedded/template.gz. It is the same
// for each version of PGlite, and kept between builds.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '..')
const embedded = path.join(root, 'dist', 'store', 'embedded')
const { dependencies } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
const kept = path.join(
  root,
  'node_modules',
  '.cache',
  'portcullis',
  `template-${dependencies['@electric-sql/pglite']}.gz`,
)

async function make() {
  const { openDurable } = await import(path.join(embedded, 'durable-nodefs.mjs'))
  const { pack } = await import(path.join(embedded, 'template.js'))
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'portcullis-template-'))
  try {
    const db = await openDurable(dir)
    await db.exec('checkpoint')
    await db.close()
    fs.mkdirSync(path.dirname(kept), { recursive: true })
    fs.writeFileSync(`${kept}.${process.pid}`, pack(dir))
    fs.renameSync(`${kept}.${process.pid}`, kept)
  } finally {
    fs.rmSync(dir, { recursive: true, force: true })
  }
}

if (!fs.existsSync(kept)) await make()
fs.copyFileSync(kept, path.join(embedded, 'template.gz'))
process.exit() // PGlite leaves a timer
