import { moduleJson } from '../../ast/json.ts'
import { parseModule } from '../../parser/parse.ts'
import { fromJs, Num, RegoObject, RegoSet, type Value, writeValue } from '../value.ts'
import { type Family, fail, object, text } from './kind.ts'
import { renderTemplate } from './template.ts'

function astOf(file: string, source: string): Value {
  const { module, diagnostics } = parseModule(file, source)
  const [first] = diagnostics
  if (!module || first) return fail(`${first?.code}: ${first?.message}`)
  return fromJs(moduleJson(module, (text) => new Num(text)))
}

/** What reaches, or would reach, beyond the evaluation; and Rego about itself. */
export const outside: Family = {
  'opa.runtime': () => new RegoObject([]),
  trace: (s) => {
    text(s, 1)
    return true
  },
  'rego.parse_module': (file, source) => astOf(text(file, 1), text(source, 2)),
  'strings.render_template': (t, v) => renderTemplate(text(t, 1), object(v, 2)),
  'http.send': (request) => {
    const o = object(request, 1)
    checkRequest(o)
    return fail('http.send: the network cannot be reached while a policy is evaluated')
  },
}

const REQUEST_KEYS = new Set([
  'method',
  'url',
  'body',
  'enable_redirect',
  'force_json_decode',
  'force_yaml_decode',
  'headers',
  'raw_body',
  'tls_use_system_certs',
  'tls_ca_cert',
  'tls_ca_cert_file',
  'tls_ca_cert_env_variable',
  'tls_client_cert',
  'tls_client_cert_file',
  'tls_client_cert_env_variable',
  'tls_client_key',
  'tls_client_key_file',
  'tls_client_key_env_variable',
  'tls_insecure_skip_verify',
  'tls_server_name',
  'timeout',
  'cache',
  'force_cache',
  'force_cache_duration_seconds',
  'raise_error',
  'caching_mode',
  'max_retry_attempts',
  'cache_ignored_headers',
])
function checkRequest(o: RegoObject): void {
  const names = o.pairs.map(([k]) => text(k, 1))
  const list = (keys: string[]) => writeValue(new RegoSet(keys))
  const bad = names.filter((k) => !REQUEST_KEYS.has(k))
  if (bad.length > 0) fail(`invalid request parameters(s): ${list(bad)}`)
  const missing = ['method', 'url'].filter((k) => !names.includes(k))
  if (missing.length > 0) fail(`missing required request parameters(s): ${list(missing)}`)
}
