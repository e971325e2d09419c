import { expect } from 'chai'
import { CredentialMask } from '../../src/protocols/http/credential-mask.ts'

const SECRET = 'sk-Zq3/9+x"y?~7'
const b64 = (text: string) => Buffer.from(text).toString('base64')

describe('a credential in an answer', () => {
  const mask = new CredentialMask([SECRET, 'short', 'another-credential'])
  const masked = (text: string, wasCut = false) =>
    mask.bytes(Buffer.from(text), wasCut).toString('utf8')

  it('is masked wherever it is, and nothing else is touched', () => {
    expect(masked(`a ${SECRET} b ${SECRET}`)).to.equal('a [masked] b [masked]')
    expect(masked(`${SECRET}another-credential`)).to.equal('[masked][masked]')
    expect(masked('short words stay')).to.equal('short words stay')
    const bytes = Buffer.from([0xff, 0x00, 0xfe])
    expect(mask.bytes(bytes, false)).to.equal(bytes)
    expect(mask.text(`Bearer ${SECRET}`)).to.equal('Bearer [masked]')
  })

  it('is masked line by line where it has several, as a log shows it', () => {
    const lines = ['MIIEvQIBADANBgkqhkiG9w0BAQEFAASC', 'BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj']
    const pem = `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\nshort\n-----END PRIVATE KEY-----\n`
    const lined = new CredentialMask([pem])
    for (const line of lines) expect(lined.text(`key: ${line}`)).to.equal('key: [masked]')
    expect(lined.text('-----BEGIN PRIVATE KEY----- short')).to.include('BEGIN').and.include('short')
    expect(lined.text(pem)).to.equal('[masked]')
  })

  it('is masked as JSON and URLs spell it', () => {
    expect(masked(JSON.stringify({ got: SECRET }))).to.equal('{"got":"[masked]"}')
    expect(masked(JSON.stringify(SECRET).replaceAll('/', '\\/'))).to.equal('"[masked]"')
    expect(masked(`?key=${encodeURIComponent(SECRET)}&x=1`)).to.equal('?key=[masked]&x=1')
    const lower = encodeURIComponent(SECRET).replaceAll(/%../g, (one) => one.toLowerCase())
    expect(lower).to.not.equal(encodeURIComponent(SECRET))
    expect(masked(`?key=${lower}&x=1`)).to.equal('?key=[masked]&x=1')
  })

  it('is masked in base64 wherever in a group it begins and ends, in both alphabets', () => {
    for (const before of ['', 'u', 'us', 'usr', 'user:']) {
      for (const after of ['', 'x', 'xy', 'xyz']) {
        const text = b64(`${before}${SECRET}${after}`)
        for (const spelt of [text, text.replaceAll('+', '-').replaceAll('/', '_')]) {
          const left = masked(spelt)
          expect(left, spelt).to.include('[masked]')
          expect(Buffer.from(left.replace('[masked]', ''), 'base64').length).to.be.below(12)
        }
      }
    }
  })

  it('is masked as far as it came when the answer was cut off in the middle of it', () => {
    for (let length = 4; length < SECRET.length; length++) {
      expect(masked(`x ${SECRET.slice(0, length)}`, true)).to.equal('x [masked]')
    }
    expect(masked(`x ${SECRET.slice(0, 10)}`)).to.equal(`x ${SECRET.slice(0, 10)}`)
  })
})
