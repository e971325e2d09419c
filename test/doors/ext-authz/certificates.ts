import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { scratch } from '../../support/scratch.ts'

// Certificates of an authority of the tests, and of one that nobody trusts, written in DER by hand: Node makes keys and no
// certificates, and a key that lies in a repository is one that somebody uses.

const DAY_MS = 86_400_000
const ECDSA_SHA256 = '06082a8648ce3d040302'
const COMMON_NAME = '0603550403'
const BASIC_CONSTRAINTS = '0603551d13'
const ALT_NAME = '0603551d11'

interface Holder {
  readonly name: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export interface Certificates {
  file(name: string): string
  read(name: string): Buffer
}

/** `ca.pem`, and `{server,client}.{pem,key}` that it signed; `other.{pem,key}` is signed by itself. */
export function certificates(): Certificates {
  const dir = scratch('certificates')
  const write = (name: string, text: string) => fs.writeFileSync(path.join(dir, name), text)
  const [ca, other] = [holder('ca'), holder('other')]
  write('ca.pem', pem(certificate(ca, ca)))
  for (const one of [holder('server'), holder('client'), other]) {
    write(`${one.name}.pem`, pem(certificate(one, one === other ? other : ca)))
    write(`${one.name}.key`, one.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
  }
  const file = (name: string) => path.join(dir, name)
  return { file, read: (name) => fs.readFileSync(file(name)) }
}

const holder = (name: string): Holder => ({
  name,
  ...generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
})

function certificate(of: Holder, by: Holder): Buffer {
  const isAuthority = of.name === 'ca'
  const extensions = [
    list(hex(BASIC_CONSTRAINTS), octets(list(...(isAuthority ? [hex('0101ff')] : [])))),
    list(hex(ALT_NAME), octets(list(tagged(0x87, Buffer.from([127, 0, 0, 1]))))),
  ]
  const now = Date.now()
  const signed = list(
    tagged(0xa0, hex('020102')),
    tagged(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    list(hex(ECDSA_SHA256)),
    nameOf(by),
    list(time(now - DAY_MS), time(now + DAY_MS)),
    nameOf(of),
    of.publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, list(...extensions)),
  )
  const signature = sign('sha256', signed, by.privateKey)
  return list(signed, list(hex(ECDSA_SHA256)), tagged(0x03, Buffer.from([0]), signature))
}

function tagged(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const { length } = body
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), body])
}

const list = (...parts: readonly Buffer[]): Buffer => tagged(0x30, ...parts)
const octets = (part: Buffer): Buffer => tagged(0x04, part)
const hex = (text: string): Buffer => Buffer.from(text, 'hex')

const nameOf = ({ name }: Holder): Buffer =>
  list(tagged(0x31, list(hex(COMMON_NAME), tagged(0x0c, Buffer.from(name)))))

// `YYMMDDHHMMSSZ`
const time = (ms: number): Buffer =>
  tagged(0x17, Buffer.from(`${new Date(ms).toISOString().slice(2, 19).replaceAll(/\D/g, '')}Z`))

const pem = (der: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replaceAll(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`
