import { expect } from 'chai'
import { addressRanges, clientNetwork, isListed, plainAddress } from '../../src/lib/addresses.ts'

describe('addresses', () => {
  it('are in a list of addresses and ranges of both families', () => {
    const list = addressRanges(['10.1.2.3', '192.168.0.0/16', '::1', 'fd00::/8'])
    for (const inside of ['10.1.2.3', '192.168.255.1', '::1', 'fd12::9'])
      expect(isListed(list, inside), inside).to.equal(true)
    for (const outside of ['10.1.2.4', '192.169.0.1', '::2', 'fe80::1', 'nobody', ''])
      expect(isListed(list, outside), outside).to.equal(false)
    expect(isListed(addressRanges([]), '127.0.0.1')).to.equal(false)
    expect(isListed(addressRanges(['0.0.0.0/0']), '8.8.8.8')).to.equal(true)
  })

  it('refuses to make a list of what is neither', () => {
    for (const bad of [
      'proxy',
      '10.0.0',
      '10.0.0.0/33',
      '::/129',
      '10.0.0.0/',
      '1.2.3.4/8/8',
      '/8',
    ])
      expect(() => addressRanges([bad]), bad).to.throw(`\`${bad}\``)
  })

  it('lose port, brackets, zone and the mapping into IPv6', () => {
    expect(plainAddress('::ffff:10.0.0.1')).to.equal('10.0.0.1')
    expect(plainAddress('10.0.0.1:443')).to.equal('10.0.0.1')
    expect(plainAddress('[2001:DB8::1]:443')).to.equal('2001:db8::1')
    expect(plainAddress('fe80::1%eth0')).to.equal('fe80::1')
    for (const none of ['unknown', '', '_hidden', '10.0.0.256']) {
      expect(plainAddress(none), none).to.equal(undefined)
    }
  })

  it('of IPv6 count by the network one client holds', () => {
    expect(clientNetwork('10.0.0.1')).to.equal('10.0.0.1')
    expect(clientNetwork('2001:db8:0:1::9')).to.equal('2001:db8:0:1::/64')
    expect(clientNetwork('2001:db8:0:1:2:3:4:5')).to.equal('2001:db8:0:1::/64')
    expect(clientNetwork('::1')).to.equal('0:0:0:0::/64')
    expect(clientNetwork('')).to.equal('')
  })
})
