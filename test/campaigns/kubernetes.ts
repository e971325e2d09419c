// Puts the Kubernetes folder together with kustomize and holds each object against the schemas of Kubernetes (the npm package
// kubernetes-models, made from its OpenAPI document): values by its validators, unknown members by its types.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { parseAllDocuments } from 'yaml'
import { scratch } from '../support/scratch.ts'

const ROOT = path.resolve(import.meta.dirname, '..', '..')
/** The newest whose engines take Node 20. */
const MODELS = 'kubernetes-models@4'

interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly spec?: object
}

function run(cwd: string, command: string, args: readonly string[]) {
  const { error, status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  if (error) throw error
  return { status, text: `${stdout}${stderr}`, stdout }
}

const moduleOf = ({ apiVersion, kind }: Manifest): string =>
  `kubernetes-models/${apiVersion}/${kind}`

function checkTypes(folder: string, manifests: readonly Manifest[]): string {
  const source = manifests.map(
    (one, at) =>
      `import type { I${one.kind} as T${at} } from '${moduleOf(one)}'\nexport const m${at}: T${at} = ${JSON.stringify(one, null, 2)}\n`,
  )
  fs.writeFileSync(path.join(folder, 'manifests.ts'), source.join('\n'))
  const tsc = path.join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--ignoreConfig']
  const resolution = ['--module', 'esnext', '--moduleResolution', 'bundler', '--types', '']
  return run(folder, process.execPath, [tsc, ...options, ...resolution, 'manifests.ts']).text
}

function checkValues(folder: string, manifests: readonly Manifest[]): string {
  fs.writeFileSync(path.join(folder, 'manifests.json'), JSON.stringify(manifests))
  fs.writeFileSync(
    path.join(folder, 'validate.cjs'),
    `for (const one of require('./manifests.json')) {
  const model = require('kubernetes-models/' + one.apiVersion + '/' + one.kind)[one.kind]
  try { new model(one).validate() } catch (error) { console.log(one.kind + ': ' + error.message) }
}
`,
  )
  return run(folder, process.execPath, ['validate.cjs']).text
}

const put = run(ROOT, 'kubectl', ['kustomize', 'ops/kubernetes'])
assert.equal(put.status, 0, put.text)
const manifests = parseAllDocuments(put.stdout).map((one) => one.toJS() as Manifest)
const folder = scratch('kubernetes')
fs.writeFileSync(path.join(folder, 'package.json'), '{"private": true}')
const installed = run(folder, 'npm', ['i', MODELS])
assert.equal(installed.status, 0, installed.text)
assert.equal(checkTypes(folder, manifests), '', 'members')
assert.equal(checkValues(folder, manifests), '', 'values')
// A check that takes anything would be quiet as well.
const changed = (members: object): readonly Manifest[] =>
  manifests.map((one) =>
    one.kind === 'StatefulSet' ? { ...one, spec: { ...one.spec, ...members } } : one,
  )
assert.match(checkTypes(folder, changed({ replicaz: 2 })), /replicaz/)
assert.match(checkValues(folder, changed({ replicas: 'two' })), /StatefulSet: .*replicas/)
process.stdout.write(`campaign:kubernetes holds: ${manifests.map(({ kind }) => kind).join(', ')}\n`)
