import net from 'node:net'

/** Null when the address can be listened on, else the system's code, such as EADDRINUSE. */
export function portProblem(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'))
    server.listen(port, host, () => server.close(() => resolve(null)))
  })
}

/** What to do about it. */
export function portCause(code: string, host: string, port: number): string {
  if (code === 'EADDRINUSE') return `port ${port} is in use; set PORT to another one`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return `${host} is no address of this machine; set HOST`
  }
  return `${host}:${port} cannot be opened (${code}); set HOST or PORT`
}
