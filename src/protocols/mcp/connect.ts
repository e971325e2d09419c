import type { ChildProgram, Upstream } from '../../model/tool.ts'
import type { UpstreamClient } from '../http/upstream-client.ts'
import type { Connection } from './connection.ts'
import { HttpConnection } from './http-connection.ts'
import { StdioConnection, type StdioParts } from './stdio/connection.ts'

export interface ConnectParts extends Omit<StdioParts, 'mask'> {
  readonly client: UpstreamClient
}

/** A server as its upstream says that it is reached. Nothing is started or sent before it is asked something. */
export function connection(
  upstream: Upstream,
  parts: ConnectParts,
  onListChanged: () => void = () => {},
): Connection {
  const { client } = parts
  if (!isProgram(upstream)) return new HttpConnection(client, upstream)
  const mask = (one: Upstream) => client.mask(one)
  return new StdioConnection({ ...parts, mask }, upstream, onListChanged)
}

const isProgram = (one: Upstream): one is Upstream & { readonly program: ChildProgram } =>
  one.program !== undefined
