import { createPrivateKey, type KeyObject } from 'node:crypto'
import fs from 'node:fs'
import { CompactSign } from 'jose'
import { GatewayError } from '../errors.ts'
import { canonicalJson } from '../lib/canonical.ts'
import { tarGz } from '../lib/tar-writer.ts'
import type { JsonObject } from '../model/json.ts'
import { readData } from '../policy/data.ts'
import type { PolicyStore } from '../policy/store.ts'
import { parse } from '../rego/index.ts'
import { Findings } from '../sources/diagnostics.ts'
import { fileHash } from './bundle-service/signature.ts'
import type { History } from './history.ts'

// The live policy as a bundle that OPA and its enforcement points download: its Rego and its documents, and never the
// guards, which are not Rego, as its metadata says. The same revision gives the same bytes, on every replica.

/** A bundle and what names it. */
export interface OpaBundle {
  readonly revision: string
  readonly bytes: Buffer
}

/** A member of the archive. */
type Member = readonly [name: string, content: string]

const REGO_VERSION = 1

/** Makes bundles of what is live, each once. */
export class OpaBundles {
  readonly #policies: PolicyStore
  readonly #history: History
  readonly #signer: BundleSigner | undefined
  #last: { readonly revision: string; readonly made: Promise<OpaBundle> } | undefined

  constructor(policies: PolicyStore, history: History, signer: BundleSigner | undefined) {
    this.#policies = policies
    this.#history = history
    this.#signer = signer
  }

  /** @throws GatewayError `not_found` where the files of the live policy are not kept */
  current(): Promise<OpaBundle> {
    const { revision } = this.#policies.current
    if (this.#last?.revision === revision) return this.#last.made
    const made = this.#make(revision)
    this.#last = { revision, made }
    made.catch(() => {
      if (this.#last?.made === made) this.#last = undefined
    })
    return made
  }

  async #make(revision: string): Promise<OpaBundle> {
    const { files } = await this.#history.read(revision)
    if (!files) throw new GatewayError('not_found', 'the files of this policy are not kept')
    const texts = new Map(
      Object.entries(files.files).map(([name, content]) => [
        name,
        Buffer.from(content).toString('utf8'),
      ]),
    )
    const members = membersOf(revision, texts)
    const signatures = this.#signer ? [await this.#signer.signed(members)] : []
    return { revision, bytes: tarGz([...members, ...signatures]) }
  }
}

function membersOf(revision: string, texts: ReadonlyMap<string, string>): Member[] {
  const rego = [...texts].filter(([name]) => name.endsWith('.rego') && !name.endsWith('_test.rego'))
  const { values } = readData(texts, new Findings())
  const documents = Object.entries(values).filter(([, value]) => value !== null)
  const roots = new Set([...rego.flatMap(rootOf), ...documents.map(([name]) => name)])
  const manifest: JsonObject = {
    revision,
    roots: [...roots].sort(),
    rego_version: REGO_VERSION,
    metadata: { portcullis: { guards: 'not included' } },
  }
  const members: Member[] = [
    ['.manifest', canonicalJson(manifest)],
    ...rego,
    // One for all: a list can only stand below an object there.
    ['data.json', canonicalJson(Object.fromEntries(documents))],
  ]
  return members.toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function rootOf([file, text]: Member): string[] {
  const parsed = parse(text, { file })
  return parsed.ok ? parsed.module.package.path.slice(0, 1) : []
}

const ALGORITHMS: Readonly<Record<string, string>> = {
  ed25519: 'EdDSA',
  ec: 'ES256',
  rsa: 'RS256',
}

/** Signs bundles as `opa sign` does: a token that has the hash of each file. */
export class BundleSigner {
  readonly #key: KeyObject
  readonly #algorithm: string
  readonly #keyId: string

  /** @throws Error when the file holds no private key that can sign */
  constructor(file: string, keyId: string) {
    this.#key = createPrivateKey(fs.readFileSync(file))
    const algorithm = ALGORITHMS[this.#key.asymmetricKeyType ?? '']
    const curve = this.#key.asymmetricKeyDetails?.namedCurve
    if (!algorithm || (algorithm === 'ES256' && curve !== 'prime256v1')) {
      throw new Error(`${file} must hold a private key of Ed25519, P-256 or RSA`)
    }
    this.#algorithm = algorithm
    this.#keyId = keyId
  }

  // The hash of a document is over its value, as OPA writes one to hash it; sources are hashed as they are.
  async signed(members: readonly Member[]): Promise<Member> {
    const files = members.map(([name, text]) => ({
      name,
      hash: fileHash(name, Buffer.from(text), 'sha256'),
      algorithm: 'SHA-256',
    }))
    const token = await new CompactSign(Buffer.from(JSON.stringify({ files })))
      .setProtectedHeader({ alg: this.#algorithm, kid: this.#keyId })
      .sign(this.#key)
    return ['.signatures.json', JSON.stringify({ signatures: [token] })]
  }
}
