export async function resolve(specifier, context, next) {
  const resolved = await next(specifier, context)
  if (!/\/src\/.*\.ts$/.test(resolved.url) || resolved.url.includes('/node_modules/')) return resolved
  const url = resolved.url.replace('/src/', '/dist/').replace(/\.ts$/, '.js')
  return { ...resolved, url, format: 'module' }
}
