// Every builtin of OPA 1.19 with its types, in the notation of `parseType`; a fact sheet, one line each.
import { type FunctionType, parseType, type Type } from './types.ts'

const TABLE = `
abs(number) number
all(([any]|{any})) boolean
and({any}, {any}) {any}
any(([any]|{any})) boolean
array.concat([any], [any]) [any]
array.flatten([any]) [any]
array.reverse([any]) [any]
array.slice([any], number, number) [any]
assign(any, any) boolean
base64.decode(string) string
base64.encode(string) string
base64.is_valid(string) boolean
base64url.decode(string) string
base64url.encode(string) string
base64url.encode_no_pad(string) string
bits.and(number, number) number
bits.lsh(number, number) number
bits.negate(number) number
bits.or(number, number) number
bits.rsh(number, number) number
bits.xor(number, number) number
cast_array(any) [any]
cast_boolean(any) boolean
cast_null(any) null
cast_object(any) object{any:any}
cast_set(any) {any}
cast_string(any) string
ceil(number) number
concat(string, ([string]|{string})) string
contains(string, string) boolean
count((string|[any]|object{any:any}|{any})) number
crypto.hmac.equal(string, string) boolean
crypto.hmac.md5(string, string) string
crypto.hmac.sha1(string, string) string
crypto.hmac.sha256(string, string) string
crypto.hmac.sha512(string, string) string
crypto.md5(string) string
crypto.parse_private_keys(string) [object{string:any}]
crypto.sha1(string) string
crypto.sha256(string) string
crypto.x509.parse_and_verify_certificates(string) <boolean,[object{string:any}]>
crypto.x509.parse_and_verify_certificates_with_options(string, object{string:any}) <boolean,[object{string:any}]>
crypto.x509.parse_certificate_request(string) object{string:any}
crypto.x509.parse_certificates(string) [object{string:any}]
crypto.x509.parse_keypair(string, string) object{string:any}
crypto.x509.parse_rsa_private_key(string) object{string:any}
div(number, number) number
endswith(string, string) boolean
eq(any, any) boolean
equal(any, any) boolean
floor(number) number
format_int(number, number) string
glob.match(string, (null|[string]), string) boolean
glob.quote_meta(string) string
graph.reachable(object{any:([any]|{any})}, ([any]|{any})) {any}
graph.reachable_paths(object{any:([any]|{any})}, ([any]|{any})) {[any]}
graphql.is_valid((string|object{any:any}), (string|object{any:any})) boolean
graphql.parse((string|object{any:any}), (string|object{any:any})) <object{any:any},object{any:any}>
graphql.parse_and_verify((string|object{any:any}), (string|object{any:any})) <boolean,object{any:any},object{any:any}>
graphql.parse_query(string) object{any:any}
graphql.parse_schema(string) object{any:any}
graphql.schema_is_valid((string|object{any:any})) boolean
gt(any, any) boolean
gte(any, any) boolean
hex.decode(string) string
hex.encode(string) string
http.send(object{string:any}) object{any:any}
indexof(string, string) number
indexof_n(string, string) [number]
internal.member_2(any, any) boolean
internal.member_3(any, any, any) boolean
internal.print([{any}]) none
internal.template_string([any]) string
internal.test_case([{any}]) none
intersection({{any}}) {any}
io.jwt.decode(string) <object{any:any},object{any:any},string>
io.jwt.decode_verify(string, object{string:any}) <boolean,object{any:any},object{any:any}>
io.jwt.encode_sign(object{string:any}, object{string:any}, object{string:any}) string
io.jwt.encode_sign_raw(string, string, string) string
io.jwt.verify_eddsa(string, string) boolean
io.jwt.verify_es256(string, string) boolean
io.jwt.verify_es384(string, string) boolean
io.jwt.verify_es512(string, string) boolean
io.jwt.verify_hs256(string, string) boolean
io.jwt.verify_hs384(string, string) boolean
io.jwt.verify_hs512(string, string) boolean
io.jwt.verify_ps256(string, string) boolean
io.jwt.verify_ps384(string, string) boolean
io.jwt.verify_ps512(string, string) boolean
io.jwt.verify_rs256(string, string) boolean
io.jwt.verify_rs384(string, string) boolean
io.jwt.verify_rs512(string, string) boolean
is_array(any) boolean
is_boolean(any) boolean
is_null(any) boolean
is_number(any) boolean
is_object(any) boolean
is_set(any) boolean
is_string(any) boolean
json.filter(object{any:any}, ([(string|[any])]|{(string|[any])})) object{any:any}
json.is_valid(string) boolean
json.marshal(any) string
json.marshal_with_options(any, object<indent:string,prefix:string,pretty:boolean>{string:any}) string
json.match_schema((string|object{any:any}), (string|object{any:any})) <boolean,[object<desc:string,error:string,field:string,type:string>]>
json.patch(any, [object<op:string,path:any>{any:any}]) any
json.remove(object{any:any}, ([(string|[any])]|{(string|[any])})) object{any:any}
json.unmarshal(string) any
json.verify_schema((string|object{any:any})) <boolean,(null|string)>
lower(string) string
lt(any, any) boolean
lte(any, any) boolean
max(([any]|{any})) any
min(([any]|{any})) any
minus((number|{any}), (number|{any})) (number|{any})
mul(number, number) number
neq(any, any) boolean
net.cidr_contains(string, string) boolean
net.cidr_contains_matches((string|[(string|[any])]|object{string:(string|[any])}|{(string|[any])}), (string|[(string|[any])]|object{string:(string|[any])}|{(string|[any])})) {<any,any>}
net.cidr_expand(string) {string}
net.cidr_intersects(string, string) boolean
net.cidr_is_valid(string) boolean
net.cidr_merge(([(string)]|{string})) {string}
net.cidr_overlap(string, string) boolean
net.lookup_ip_addr(string) {string}
numbers.range(number, number) [number]
numbers.range_step(number, number, number) [number]
object.filter(object{any:any}, ([any]|object{any:any}|{any})) object{any:any}
object.get(object{any:any}, any, any) any
object.keys(object{any:any}) {any}
object.remove(object{any:any}, ([any]|object{any:any}|{any})) object{any:any}
object.subset(([any]|object{any:any}|{any}), ([any]|object{any:any}|{any})) boolean
object.union(object{any:any}, object{any:any}) object{any:any}
object.union_n([object{any:any}]) object{any:any}
opa.runtime() object{string:any}
or({any}, {any}) {any}
plus(number, number) number
print(any...) none
product(([number]|{number})) number
providers.aws.sign_req(object{string:any}, object{string:any}, number) object{any:any}
rand.intn(string, number) number
re_match(string, string) boolean
regex.find_all_string_submatch_n(string, string, number) [[string]]
regex.find_n(string, string, number) [string]
regex.globs_match(string, string) boolean
regex.is_valid(string) boolean
regex.match(string, string) boolean
regex.replace(string, string, string) string
regex.split(string, string) [string]
regex.template_match(string, string, string, string) boolean
rego.metadata.chain() [any]
rego.metadata.rule() any
rego.parse_module(string, string) object{string:any}
rem(number, number) number
replace(string, string, string) string
round(number) number
semver.compare(string, string) number
semver.is_valid(any) boolean
set_diff({any}, {any}) {any}
sort(([any]|{any})) [any]
split(string, string) [string]
sprintf(string, [any]) string
startswith(string, string) boolean
strings.any_prefix_match((string|[string]|{string}), (string|[string]|{string})) boolean
strings.any_suffix_match((string|[string]|{string}), (string|[string]|{string})) boolean
strings.count(string, string) number
strings.render_template(string, object{string:any}) string
strings.replace_n(object{string:string}, string) string
strings.reverse(string) string
strings.split_n(string, string, number) [string]
substring(string, number, number) string
sum(([number]|{number})) number
time.add_date(number, number, number, number) number
time.clock((number|<number,string>)) <number,number,number>
time.date((number|<number,string>)) <number,number,number>
time.diff((number|<number,string>), (number|<number,string>)) <number,number,number,number,number,number>
time.format((number|<number,string>|<number,string,string>)) string
time.now_ns() number
time.parse_duration_ns(string) number
time.parse_ns(string, string) number
time.parse_rfc3339_ns(string) number
time.weekday((number|<number,string>)) string
to_number((null|boolean|number|string)) number
trace(string) boolean
trim(string, string) string
trim_left(string, string) string
trim_prefix(string, string) string
trim_right(string, string) string
trim_space(string) string
trim_suffix(string, string) string
type_name(any) string
union({{any}}) {any}
units.parse(string) number
units.parse_bytes(string) number
upper(string) string
uri.is_valid(string) boolean
uri.parse(string) object{string:string}
urlquery.decode(string) string
urlquery.decode_object(string) object{string:[string]}
urlquery.encode(string) string
urlquery.encode_object(object{string:(string|[string]|{string})}) string
uuid.parse(string) object{string:any}
uuid.rfc4122(string) string
walk(any) <[any],any>
yaml.is_valid(string) boolean
yaml.marshal(any) string
yaml.unmarshal(string) any
`

/** Deprecated: refused in the new Rego, a warning in the old one. */
export const DEPRECATED: ReadonlySet<string> = new Set([
  'all',
  'any',
  'cast_array',
  'cast_boolean',
  'cast_null',
  'cast_object',
  'cast_set',
  'cast_string',
  're_match',
  'set_diff',
  'net.cidr_overlap',
])

/** Reach outside the process or into it: refused unless the capabilities name them. */
export const OUTSIDE: ReadonlySet<string> = new Set([
  'http.send',
  'net.lookup_ip_addr',
  'opa.runtime',
])

/** Give another answer for the same operands: the clock and chance. A host that must be able to replay leaves them out. */
export const VARYING: ReadonlySet<string> = new Set(['rand.intn', 'time.now_ns', 'uuid.rfc4122'])

/** Made by rewriting, not callable by name. */
export const RELATIONS: ReadonlySet<string> = new Set(['walk'])

const lines = new Map<string, string>()
for (const line of TABLE.trim().split('\n')) lines.set(line.slice(0, line.indexOf('(')), line)
const parsed = new Map<string, FunctionType>()

export const BUILTIN_NAMES: readonly string[] = [...lines.keys()]

export function isBuiltin(name: string): boolean {
  return lines.has(name)
}

/** The types of a builtin, or undefined when there is none of that name. */
export function builtinType(name: string): FunctionType | undefined {
  const known = parsed.get(name)
  if (known) return known
  const line = lines.get(name)
  if (line === undefined) return undefined
  const type = parseSignature(line.slice(line.indexOf('(')))
  parsed.set(name, type)
  return type
}

/**
 * `(string, [any]) boolean`, also for functions that an embedder declares.
 * @throws Error for what is no signature
 */
export function parseSignature(text: string): FunctionType {
  let depth = 0
  let end = 0
  const cuts = [0]
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? ''
    if ('([{<'.includes(c)) depth++
    if (')]}>'.includes(c) && --depth === 0) {
      end = i
      break
    }
    if (c === ',' && depth === 1) cuts.push(i)
  }
  if (!text.startsWith('(') || end === 0) throw new Error(`bad signature ${text}`)
  const parts = cuts
    .map((from, i) => text.slice(from + 1, cuts[i + 1] ?? end).trim())
    .filter((part) => part !== '')
  const variadic = parts.length === 1 && (parts[0] ?? '').endsWith('...')
  const args: Type[] = parts.map((part) => parseType(part.replace('...', '')))
  const result = text.slice(end + 1).trim()
  return {
    kind: 'function',
    args,
    variadic,
    result: result === 'none' ? undefined : parseType(result),
  }
}
