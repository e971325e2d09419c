// The same adapter for runners whose worker threads do not know TypeScript (tsx registers itself in the main thread only).
import { register } from 'tsx/esm/api'

register()
const adapter = await import('./conformance-adapter.ts')
export const { name, strictBuiltinErrors, wantsQuery, compile } = adapter
