import net from 'node:net'

/**
 * Addresses and ranges (`10.0.0.1`, `10.0.0.0/8`, `fd00::/8`) as one list to check against.
 * @throws Error naming the first that is neither
 */
export function addressRanges(entries: readonly string[]): net.BlockList {
  const list = new net.BlockList()
  for (const entry of entries) addRange(list, entry)
  return list
}

function addRange(list: net.BlockList, entry: string): void {
  const [address = '', bits, ...rest] = entry.split('/')
  const family = net.isIP(address)
  const bitsMax = family === 4 ? 32 : 128
  const prefix = bits === undefined ? bitsMax : Number(bits)
  const isRange = bits === undefined || (/^\d{1,3}$/.test(bits) && prefix <= bitsMax)
  if (family === 0 || !isRange || rest.length > 0) {
    throw new Error(`\`${entry}\` is no address or range such as 10.0.0.1 or fd00::/8`)
  }
  list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6')
}

/** Whether an address, as `plainAddress` gives it, is in a list. */
export function isListed(list: net.BlockList, address: string): boolean {
  const family = net.isIP(address)
  return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i
const WITH_PORT = /^(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+)$/

/**
 * An address without port, brackets and zone, IPv4 as IPv4 also where it came over an IPv6 socket;
 * undefined for what is none.
 */
export function plainAddress(text: string): string | undefined {
  const [, bracketed, dotted] = WITH_PORT.exec(text) ?? []
  const address = (bracketed ?? dotted ?? text).replace(/%.*$/, '')
  const plain = MAPPED.exec(address)?.[1] ?? address
  return net.isIP(plain) === 0 ? undefined : plain.toLowerCase()
}

const GROUPS = 8
const NETWORK_GROUPS = 4

/** What one client holds: an IPv4 address, or the /64 an IPv6 address is from. */
export function clientNetwork(address: string): string {
  if (net.isIP(address) !== 6) return address
  const [head = '', tail] = address.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail ? tail.split(':') : []
  const zeros = tail === undefined ? 0 : GROUPS - before.length - after.length
  const groups = [...before, ...Array<string>(Math.max(0, zeros)).fill('0'), ...after]
  const network = groups.slice(0, NETWORK_GROUPS).map((group) => Number.parseInt(group, 16))
  return `${network.map((group) => group.toString(16)).join(':')}::/64`
}

const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]'])

/** Whether what goes to this URL stays on this machine, or is encrypted. */
export const isSecret = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' || (protocol === 'http:' && LOOPBACK_NAMES.has(hostname))
