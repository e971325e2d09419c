// A NodeFS for PGlite that really reaches the disk. As shipped PGlite starts with -F (fsync off) and
// its file system has no fsync at all, so acknowledged rows die with the power. Here -F is dropped,
// fdatasync is added, and directories that gained or lost files are synced with the next fsync.
// It reaches into emscripten's NODEFS, so PGlite is pinned exactly and a probe commit must be seen
// to sync before the database is handed out.
import fs from 'node:fs'
import { PGlite } from '@electric-sql/pglite'
import { NodeFS } from '@electric-sql/pglite/nodefs'

const EIO = 29 // emscripten's number; PostgreSQL must see the failure and PANIC

class DurableNodeFS extends NodeFS {
  syncs = 0
  #dirtyDirectories = new Set()

  async init(pg, emscriptenOptions) {
    const { emscriptenOpts } = await super.init(pg, emscriptenOptions)
    emscriptenOpts.preRun.push((module) => this.#patch(module))
    return { emscriptenOpts }
  }

  #patch(module) {
    const nodefs = module.NODEFS ?? module.FS.filesystems?.NODEFS
    if (!nodefs) throw new Error('PGlite internals changed: NODEFS is out of reach')
    const dirty = this.#dirtyDirectories
    const { mknod, rename } = nodefs.node_ops
    nodefs.node_ops.mknod = (parent, ...rest) => {
      const node = mknod(parent, ...rest)
      dirty.add(nodefs.realPath(parent))
      return node
    }
    nodefs.node_ops.rename = (node, directory, name) => {
      dirty.add(nodefs.realPath(node.parent))
      rename(node, directory, name)
      dirty.add(nodefs.realPath(directory))
    }
    nodefs.stream_ops.fsync = (stream) => {
      try {
        this.#sync(stream.nfd)
      } catch {
        throw new module.FS.ErrnoError(EIO)
      }
      return 0
    }
  }

  #sync(fd) {
    if (fd !== undefined) {
      fs.fdatasyncSync(fd)
      this.syncs++
    }
    if (process.platform !== 'win32')
      for (const directory of this.#dirtyDirectories) syncDirectory(directory)
    this.#dirtyDirectories.clear()
  }
}

function syncDirectory(directory) {
  const fd = fs.openSync(directory, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

const startParams = [
  ...PGlite.defaultStartParams.filter((parameter) => parameter !== '-F'),
  ...['-c', 'fsync=on', '-c', 'wal_sync_method=fsync', '-c', 'shared_buffers=32MB'],
]

/** Opens a PGlite data directory whose commits are on disk when they are acknowledged. */
export async function openDurable(dir, code) {
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 })
  const files = new DurableNodeFS(dir)
  const db = await PGlite.create({ fs: files, startParams, pgliteWasmModule: code })
  const before = files.syncs
  await db.exec(
    'create table if not exists _fsync_probe(n int); delete from _fsync_probe; insert into _fsync_probe values (1)',
  )
  if (files.syncs === before) {
    await db.close()
    throw new Error('embedded database is not durable: a commit did not reach fdatasync')
  }
  return db
}
