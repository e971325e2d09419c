import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { scratch } from './scratch.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')

export interface Installed {
  /** The folder of whoever installed it. */
  readonly folder: string
  /** Where the package is, in its node_modules. */
  readonly package: string
  readonly files: readonly string[]
  readonly packedBytes: number
}

/** Writes the tarball of a package into a folder, from what is built, and answers its path. */
export function pack(name: 'portcullis' | 'portcullis-rego', folder: string): string {
  const [command, args] =
    name === 'portcullis'
      ? ['npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder]]
      : [process.execPath, [path.join(ROOT, 'ops', 'pack-rego.mjs'), '--out', folder]]
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: ROOT, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${name} was not packed:\n${stderr}`)
  return path.join(folder, stdout.trim().split('\n').at(-1) ?? '')
}

/** Unpacks a package elsewhere, with this checkout's dependencies beside it: no network is needed. */
export function installOffline(name: 'portcullis' | 'portcullis-rego'): Installed {
  const folder = scratch('installed')
  const tarball = pack(name, folder)
  const packedBytes = fs.statSync(tarball).size
  const modules = path.join(folder, 'node_modules')
  fs.mkdirSync(modules)
  for (const one of fs.readdirSync(path.join(ROOT, 'node_modules'))) {
    if (!one.startsWith('.'))
      fs.symlinkSync(path.join(ROOT, 'node_modules', one), path.join(modules, one))
  }
  const target = path.join(modules, name)
  fs.mkdirSync(target)
  const { status, stderr } = spawnSync('tar', [
    'xzf',
    tarball,
    '-C',
    target,
    '--strip-components=1',
  ])
  if (status !== 0) throw new Error(`${tarball} cannot be unpacked: ${String(stderr)}`)
  const files = fs
    .readdirSync(target, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(target, path.join(entry.parentPath, entry.name)))
    .sort()
  return { folder, package: target, files, packedBytes }
}
