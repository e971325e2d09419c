// GraphQL on graphql-js, with documents in the shape of OPA's parser (gqlparser): capitalised fields, empty ones left out.
import type {
  ConstDirectiveNode,
  DefinitionNode,
  DirectiveNode,
  DocumentNode,
  FieldDefinitionNode,
  GraphQLSchema,
  InputValueDefinitionNode,
  SelectionSetNode,
  TypeNode,
  ValueNode,
  VariableDefinitionNode,
} from 'graphql'
import { Kind } from 'graphql/language/kinds.js'
import { graphql as library, graphqlValidate } from '../../libraries.ts'
import { fromJs, isArray, Num, RegoObject, type Value, writeJson } from '../value.ts'
import { type Family, fail, holds, spend, text, wrongType } from './kind.ts'

type Json = { [key: string]: unknown }

/** Without null, empty lists and empty objects, as OPA prunes them. */
function prune(o: Json): Json {
  return Object.fromEntries(
    Object.entries(o).filter(
      ([, v]) => v !== undefined && v !== null && !(Array.isArray(v) && v.length === 0),
    ),
  )
}

const VALUE_KINDS: Readonly<Record<string, number>> = {
  [Kind.VARIABLE]: 0,
  [Kind.INT]: 1,
  [Kind.FLOAT]: 2,
  [Kind.STRING]: 3,
  [Kind.BOOLEAN]: 5,
  [Kind.NULL]: 6,
  [Kind.ENUM]: 7,
  [Kind.LIST]: 8,
  [Kind.OBJECT]: 9,
}

function value(node: ValueNode): Json {
  const base = { ExpectedTypeHasDefault: false }
  const kindNumber = node.kind === Kind.STRING && node.block ? 4 : (VALUE_KINDS[node.kind] ?? 0)
  switch (node.kind) {
    case Kind.VARIABLE:
      return { ...base, Kind: kindNumber, Raw: node.name.value }
    case Kind.LIST:
      return prune({
        ...base,
        Kind: kindNumber,
        Raw: '',
        Children: node.values.map((v) => ({ Name: '', Value: value(v) })),
      })
    case Kind.OBJECT:
      return prune({
        ...base,
        Kind: kindNumber,
        Raw: '',
        Children: node.fields.map((f) => ({ Name: f.name.value, Value: value(f.value) })),
      })
    case Kind.NULL:
      return { ...base, Kind: kindNumber, Raw: 'null' }
    case Kind.BOOLEAN:
      return { ...base, Kind: kindNumber, Raw: String(node.value) }
    default:
      return { ...base, Kind: kindNumber, Raw: node.value }
  }
}

function type(node: TypeNode): Json {
  if (node.kind === Kind.NON_NULL_TYPE) return { ...type(node.type), NonNull: true }
  if (node.kind === Kind.LIST_TYPE) return { NamedType: '', Elem: type(node.type), NonNull: false }
  return { NamedType: node.name.value, NonNull: false }
}

function directives(nodes: readonly (DirectiveNode | ConstDirectiveNode)[] | undefined): Json[] {
  return (nodes ?? []).map((d) =>
    prune({
      Name: d.name.value,
      Arguments: (d.arguments ?? []).map((a) => ({ Name: a.name.value, Value: value(a.value) })),
      Location: '',
    }),
  )
}

function selections(set: SelectionSetNode | undefined): Json[] {
  return (set?.selections ?? []).map((s) => {
    if (s.kind === Kind.FIELD) {
      return prune({
        Alias: s.alias?.value ?? s.name.value,
        Name: s.name.value,
        Arguments: (s.arguments ?? []).map((a) => ({ Name: a.name.value, Value: value(a.value) })),
        Directives: directives(s.directives),
        SelectionSet: selections(s.selectionSet),
      })
    }
    if (s.kind === Kind.FRAGMENT_SPREAD)
      return prune({ Name: s.name.value, Directives: directives(s.directives) })
    return prune({
      TypeCondition: s.typeCondition?.name.value ?? '',
      Directives: directives(s.directives),
      SelectionSet: selections(s.selectionSet),
    })
  })
}

function variables(nodes: readonly VariableDefinitionNode[] | undefined): Json[] {
  return (nodes ?? []).map((v) =>
    prune({
      Variable: v.variable.name.value,
      Type: type(v.type),
      DefaultValue: v.defaultValue && value(v.defaultValue),
      Directives: directives(v.directives),
      Used: false,
    }),
  )
}

function queryAst(document: DocumentNode): Json {
  const Operations: Json[] = []
  const Fragments: Json[] = []
  for (const d of document.definitions) {
    if (d.kind === Kind.OPERATION_DEFINITION) {
      Operations.push(
        prune({
          Operation: d.operation,
          Name: d.name?.value ?? '',
          VariableDefinitions: variables(d.variableDefinitions),
          Directives: directives(d.directives),
          SelectionSet: selections(d.selectionSet),
        }),
      )
    } else if (d.kind === Kind.FRAGMENT_DEFINITION) {
      Fragments.push(
        prune({
          Name: d.name.value,
          VariableDefinition: variables(d.variableDefinitions),
          TypeCondition: d.typeCondition.name.value,
          Directives: directives(d.directives),
          SelectionSet: selections(d.selectionSet),
        }),
      )
    }
  }
  return prune({ Operations, Fragments })
}

function argument(a: InputValueDefinitionNode): Json {
  return prune({
    Description: a.description?.value ?? '',
    Name: a.name.value,
    DefaultValue: a.defaultValue && value(a.defaultValue),
    Type: type(a.type),
    Directives: directives(a.directives),
  })
}
function fields(
  nodes: readonly (FieldDefinitionNode | InputValueDefinitionNode)[] | undefined,
): Json[] {
  return (nodes ?? []).map((f) =>
    f.kind === Kind.INPUT_VALUE_DEFINITION
      ? argument(f)
      : prune({
          Description: f.description?.value ?? '',
          Name: f.name.value,
          Arguments: (f.arguments ?? []).map(argument),
          Type: type(f.type),
          Directives: directives(f.directives),
        }),
  )
}

const DEFINITION_KINDS: Readonly<Record<string, string>> = {
  ScalarType: 'SCALAR',
  ObjectType: 'OBJECT',
  InterfaceType: 'INTERFACE',
  UnionType: 'UNION',
  EnumType: 'ENUM',
  InputObjectType: 'INPUT_OBJECT',
}

function definition(d: DefinitionNode): Json {
  const node = d as unknown as {
    name: { value: string }
    description?: { value: string }
    directives?: readonly ConstDirectiveNode[]
    interfaces?: readonly { name: { value: string } }[]
    fields?: readonly FieldDefinitionNode[]
    types?: readonly { name: { value: string } }[]
    values?: readonly {
      name: { value: string }
      description?: { value: string }
      directives?: readonly ConstDirectiveNode[]
    }[]
  }
  return prune({
    Kind: DEFINITION_KINDS[d.kind.replace(/(Definition|Extension)$/, '')],
    Description: node.description?.value ?? '',
    Name: node.name.value,
    Directives: directives(node.directives),
    Interfaces: (node.interfaces ?? []).map((i) => i.name.value),
    Fields: fields(node.fields),
    Types: (node.types ?? []).map((t) => t.name.value),
    EnumValues: (node.values ?? []).map((v) =>
      prune({
        Description: v.description?.value ?? '',
        Name: v.name.value,
        Directives: directives(v.directives),
      }),
    ),
    BuiltIn: false,
  })
}

function schemaAst(document: DocumentNode): Json {
  const out: Record<
    'Schema' | 'SchemaExtension' | 'Directives' | 'Definitions' | 'Extensions',
    Json[]
  > = {
    Schema: [],
    SchemaExtension: [],
    Directives: [],
    Definitions: [],
    Extensions: [],
  }
  for (const d of document.definitions) {
    if (d.kind === Kind.SCHEMA_DEFINITION || d.kind === Kind.SCHEMA_EXTENSION) {
      const list = d.kind === Kind.SCHEMA_DEFINITION ? out.Schema : out.SchemaExtension
      list.push(
        prune({
          Description: d.kind === Kind.SCHEMA_DEFINITION ? (d.description?.value ?? '') : '',
          Directives: directives(d.directives),
          OperationTypes: (d.operationTypes ?? []).map((o) => ({
            Operation: o.operation,
            Type: o.type.name.value,
          })),
        }),
      )
    } else if (d.kind === Kind.DIRECTIVE_DEFINITION) {
      out.Directives.push(
        prune({
          Description: d.description?.value ?? '',
          Name: d.name.value,
          Arguments: (d.arguments ?? []).map(argument),
          Locations: d.locations.map((l) => l.value),
          IsRepeatable: d.repeatable,
        }),
      )
    } else if (d.kind.endsWith('Extension')) out.Extensions.push(definition(d))
    else out.Definitions.push(definition(d))
  }
  return prune(out)
}

// ---- documents back to text, for ASTs that a policy hands in

function str(o: Json, key: string): string {
  const v = o[key]
  return typeof v === 'string' ? v : ''
}
function list(o: Json, key: string): Json[] {
  const v = o[key]
  return Array.isArray(v) ? (v as Json[]) : []
}
function printValue(v: Json): string {
  const kind = Number(v['Kind'])
  if (kind === 0) return `$${str(v, 'Raw')}`
  if (kind === 3 || kind === 4) return JSON.stringify(str(v, 'Raw'))
  if (kind === 8)
    return `[${list(v, 'Children')
      .map((c) => printValue(c['Value'] as Json))
      .join(', ')}]`
  if (kind === 9)
    return `{${list(v, 'Children')
      .map((c) => `${str(c, 'Name')}: ${printValue(c['Value'] as Json)}`)
      .join(', ')}}`
  return str(v, 'Raw')
}
function printType(t: Json): string {
  const bang = t['NonNull'] === true ? '!' : ''
  return t['Elem'] ? `[${printType(t['Elem'] as Json)}]${bang}` : `${str(t, 'NamedType')}${bang}`
}
function printArguments(args: readonly Json[]): string {
  return args.length === 0
    ? ''
    : `(${args.map((a) => `${str(a, 'Name')}: ${printValue(a['Value'] as Json)}`).join(', ')})`
}
function printDirectives(o: Json): string {
  return list(o, 'Directives')
    .map((d) => ` @${str(d, 'Name')}${printArguments(list(d, 'Arguments'))}`)
    .join('')
}
function printSelections(set: readonly Json[]): string {
  if (set.length === 0) return ''
  const one = (s: Json): string => {
    const inner = printSelections(list(s, 'SelectionSet'))
    if (typeof s['Alias'] === 'string') {
      const alias = s['Alias'] === s['Name'] ? '' : `${s['Alias']}: `
      return `${alias}${str(s, 'Name')}${printArguments(list(s, 'Arguments'))}${printDirectives(s)}${inner}`
    }
    if (typeof s['Name'] === 'string') return `...${s['Name']}${printDirectives(s)}`
    const on = str(s, 'TypeCondition')
    return `...${on === '' ? '' : ` on ${on}`}${printDirectives(s)}${inner}`
  }
  return ` { ${set.map(one).join(' ')} }`
}
function printQuery(o: Json): string {
  const operations = list(o, 'Operations').map((op) => {
    const variables = list(op, 'VariableDefinitions').map(
      (v) =>
        `$${str(v, 'Variable')}: ${printType(v['Type'] as Json)}${v['DefaultValue'] ? ` = ${printValue(v['DefaultValue'] as Json)}` : ''}`,
    )
    const vars = variables.length === 0 ? '' : `(${variables.join(', ')})`
    return `${str(op, 'Operation')} ${str(op, 'Name')}${vars}${printDirectives(op)}${printSelections(list(op, 'SelectionSet'))}`
  })
  const fragments = list(o, 'Fragments').map(
    (f) =>
      `fragment ${str(f, 'Name')} on ${str(f, 'TypeCondition')}${printDirectives(f)}${printSelections(list(f, 'SelectionSet'))}`,
  )
  return [...operations, ...fragments].join('\n')
}
function printInput(a: Json): string {
  return `${str(a, 'Name')}: ${printType(a['Type'] as Json)}${a['DefaultValue'] ? ` = ${printValue(a['DefaultValue'] as Json)}` : ''}${printDirectives(a)}`
}
function printField(f: Json): string {
  const args = list(f, 'Arguments')
  const shown = args.length === 0 ? '' : `(${args.map(printInput).join(', ')})`
  return `${str(f, 'Name')}${shown}: ${printType(f['Type'] as Json)}${f['DefaultValue'] ? ` = ${printValue(f['DefaultValue'] as Json)}` : ''}${printDirectives(f)}`
}
function printDefinition(d: Json, prefix: string): string {
  const head = (word: string) => `${prefix}${word} ${str(d, 'Name')}`
  const interfaces = (d['Interfaces'] as string[] | undefined) ?? []
  const implemented = interfaces.length === 0 ? '' : ` implements ${interfaces.join(' & ')}`
  const body =
    list(d, 'Fields').length === 0 ? '' : ` { ${list(d, 'Fields').map(printField).join(' ')} }`
  switch (d['Kind']) {
    case 'SCALAR':
      return head('scalar') + printDirectives(d)
    case 'INTERFACE':
      return head('interface') + implemented + printDirectives(d) + body
    case 'UNION':
      return `${head('union')}${printDirectives(d)} = ${((d['Types'] as string[] | undefined) ?? []).join(' | ')}`
    case 'ENUM':
      return `${head('enum')}${printDirectives(d)} { ${list(d, 'EnumValues')
        .map((v) => str(v, 'Name') + printDirectives(v))
        .join(' ')} }`
    case 'INPUT_OBJECT':
      return head('input') + printDirectives(d) + body
    default:
      return head('type') + implemented + printDirectives(d) + body
  }
}
function printSchema(o: Json): string {
  const schemas = (key: string, prefix: string) =>
    list(o, key).map(
      (s) =>
        `${prefix}schema${printDirectives(s)} { ${list(s, 'OperationTypes')
          .map((t) => `${str(t, 'Operation')}: ${str(t, 'Type')}`)
          .join(' ')} }`,
    )
  return [
    ...schemas('Schema', ''),
    ...schemas('SchemaExtension', 'extend '),
    ...list(o, 'Directives').map((d) => {
      const args = list(d, 'Arguments')
      const shown = args.length === 0 ? '' : `(${args.map(printInput).join(', ')})`
      return `directive @${str(d, 'Name')}${shown}${d['IsRepeatable'] === true ? ' repeatable' : ''} on ${((d['Locations'] as string[] | undefined) ?? []).join(' | ')}`
    }),
    ...list(o, 'Definitions').map((d) => printDefinition(d, '')),
    ...list(o, 'Extensions').map((d) => printDefinition(d, 'extend ')),
  ].join('\n')
}

// ---- builtins

function located(error: unknown): never {
  if (error instanceof library().GraphQLError) {
    const [at] = error.locations ?? []
    const where = at ? ` in GraphQL string at location ${at.line}:${at.column}` : ''
    return fail(`${error.message.replace(/\.$/, '').replace(/^Syntax Error: /, '')}${where}`)
  }
  throw error
}

/** What reading and checking cost of the budget: by letters, and of each schema with what GraphQL brings itself. */
const LETTER_COST = 4
const SCHEMA_COST = 3_000

function readText(source: string): DocumentNode {
  spend(source.length * LETTER_COST)
  if (/^[\s,]*(#[^\n]*[\s,]*)*$/.test(source)) return { kind: Kind.DOCUMENT, definitions: [] }
  try {
    return library().parse(source, { allowLegacyFragmentVariables: true })
  } catch (error) {
    return located(error)
  }
}

function shownKey(k: Value): string {
  return typeof k === 'string' ? k : writeJson(k)
}

function plain(v: RegoObject): Json {
  const go = (x: Value): unknown => {
    if (x instanceof RegoObject)
      return Object.fromEntries(x.pairs.map(([k, y]) => [shownKey(k), go(y)]))
    if (isArray(x)) return x.map(go)
    return x instanceof Num ? Number(x.text) : x
  }
  return go(v) as Json
}

function read(v: Value | undefined, position: number, print: (o: Json) => string): DocumentNode {
  if (typeof v === 'string') return readText(v)
  if (v instanceof RegoObject) return readText(print(plain(v)))
  return wrongType(position, v, 'string', 'object')
}

const PLACEHOLDER = 'Query_'

/** A schema as lenient as gqlparser: types may be only extended, a query type may be missing. */
function buildSchema(document: DocumentNode): GraphQLSchema {
  spend(SCHEMA_COST)
  const known = new Set(
    document.definitions.flatMap((d) =>
      'name' in d && d.name && !d.kind.endsWith('Extension') ? [d.name.value] : [],
    ),
  )
  const definitions = document.definitions.map((d) => {
    if (!d.kind.endsWith('TypeExtension') || !('name' in d) || !d.name || known.has(d.name.value))
      return d
    known.add(d.name.value)
    return {
      ...d,
      kind: d.kind.replace('TypeExtension', 'TypeDefinition'),
    } as unknown as DefinitionNode
  })
  const whole = { ...document, definitions }
  const problems = graphqlValidate().validateSDL(whole)
  const [first] = problems
  if (first) return located(first)
  try {
    const schema = library().buildASTSchema(whole, { assumeValidSDL: true })
    const errors = library()
      .validateSchema(schema)
      .filter(({ message }) => !/Query root type must be provided/.test(message))
    const [bad] = errors
    if (bad) return located(bad)
    return schema
  } catch (error) {
    return located(
      error instanceof library().GraphQLError
        ? error
        : new (library().GraphQLError)(error instanceof Error ? error.message : ''),
    )
  }
}

function check(query: DocumentNode, schema: GraphQLSchema): void {
  if (query.definitions.length === 0) return
  const usable = schema.getQueryType()
    ? schema
    : library().extendSchema(
        schema,
        readText(`type ${PLACEHOLDER} { _: Int } extend schema { query: ${PLACEHOLDER} }`),
        { assumeValid: true },
      )
  const [first] = library().validate(usable, query)
  if (first) located(first)
}

function both(
  q: Value | undefined,
  s: Value | undefined,
): { query: DocumentNode; schema: DocumentNode } {
  const schema = read(s, 2, printSchema)
  const query = read(q, 1, printQuery)
  check(query, buildSchema(schema))
  return { query, schema }
}

function shown(
  v: Value | undefined,
  document: DocumentNode,
  ast: (d: DocumentNode) => Json,
): Value {
  return v instanceof RegoObject ? v : fromJs(ast(document))
}

export const graphql: Family = {
  'graphql.parse_query': (s) => fromJs(queryAst(readText(text(s, 1)))),
  'graphql.parse_schema': (s) => fromJs(schemaAst(readText(text(s, 1)))),
  'graphql.schema_is_valid': (s) => {
    if (typeof s !== 'string' && !(s instanceof RegoObject)) wrongType(1, s, 'string', 'object')
    return holds(() => buildSchema(read(s, 1, printSchema)))
  },
  'graphql.is_valid': (q, s) => {
    for (const [i, v] of [q, s].entries())
      if (typeof v !== 'string' && !(v instanceof RegoObject))
        wrongType(i + 1, v, 'string', 'object')
    return holds(() => both(q, s))
  },
  'graphql.parse': (q, s) => {
    const { query, schema } = both(q, s)
    return [shown(q, query, queryAst), shown(s, schema, schemaAst)]
  },
  'graphql.parse_and_verify': (q, s) => {
    for (const [i, v] of [q, s].entries())
      if (typeof v !== 'string' && !(v instanceof RegoObject))
        wrongType(i + 1, v, 'string', 'object')
    let documents: ReturnType<typeof both>
    try {
      documents = both(q, s)
    } catch {
      return [false, new RegoObject([]), new RegoObject([])]
    }
    return [true, shown(q, documents.query, queryAst), shown(s, documents.schema, schemaAst)]
  },
}
