import type { Router } from 'express'

/** Methods, upper case, that the routes of these routers take on a path; empty for an unknown path. */
export function methodsOn(path: string, routers: readonly Router[]): string[] {
  const layers = routers.flatMap(({ stack }) => stack)
  const routes = layers.flatMap((layer) => (layer.route && matches(layer, path) ? layer.route : []))
  const methods = new Set(routes.flatMap(({ stack }) => stack.map(({ method }) => method)))
  if (methods.has('get')) methods.add('head') // Express answers it with the GET route
  return [...methods].map((method) => method.toUpperCase()).sort()
}

// Express keeps the compiled path of a route in its layer, and its types do not say so.
function matches(layer: unknown, path: string): boolean {
  return (layer as { match(path: string): boolean }).match(path)
}
