// Rego passes over what does not exist: a rule nobody asks for, and a reference to nothing, are undefined and no error.
// In a gate that is a deny that is silently gone. So everything is followed from the rules the gate asks for: what they
// do not reach, and what they read that cannot be there, does not load.
import type { JsonObject } from '../model/json.ts'
import type { Reference, RuleSurvey, Step } from '../rego/index.ts'
import { type Diagnostic, diagnosticAt } from '../sources/diagnostics.ts'
import { type Missing, missingInput } from './rego-input.ts'
import {
  missingData,
  nodesAt,
  overlap,
  readsThroughRules,
  type RuleNode,
  ruleTree,
} from './rego-documents.ts'
import { DECIDING, PACKAGE } from './rego-program.ts'
import { placeAt } from './rego-place.ts'
import { readsThroughParameters } from './rego-arguments.ts'
import { closest } from '../lib/suggest.ts'

// Of a bundle that was built elsewhere much may be for others, but hardly this.
const isNearlyAsked = (rule: RuleSurvey): boolean =>
  isAgent(rule.package) && closest(nameOf(rule), DECIDING) !== undefined

/** A file of Rego, as far as its rules do not say it themselves. */
export interface RegoFile {
  readonly file: string
  readonly package: readonly string[]
  readonly location: RuleSurvey['location']
  readonly isTest: boolean
  /** Out of a bundle that was built elsewhere: it may hold more than is for this gate. */
  readonly isForeign: boolean
  /** Says that others than package `agent` use it: `# portcullis: library`. */
  readonly isLibrary: boolean
  /** Places of rules that METADATA calls entry points. */
  readonly entrypoints: readonly string[]
}

export interface Surveyed {
  readonly files: readonly RegoFile[]
  /** Rules of the policies alone, and of the tests. */
  readonly policies: readonly RuleSurvey[]
  readonly tests: readonly RuleSurvey[]
  readonly data: JsonObject
  readonly takesInquiries: boolean
}

/** Everything that nothing reaches, and every reference that leads nowhere. */
export const reachFindings = (surveyed: Surveyed): readonly Diagnostic[] =>
  new Reach(surveyed).findings()

/** `gate`: its `input` is that of a decision. `other`: somebody else says what it is. */
type Caller = 'gate' | 'other'

class Reach {
  readonly #surveyed: Surveyed
  readonly #files: ReadonlyMap<string, RegoFile>
  readonly #tree: RuleNode
  readonly #libraries: ReadonlySet<string>
  readonly #reached = new Map<RuleSurvey, Set<Caller>>()
  readonly #seen = { gate: new Set<RuleNode>(), other: new Set<RuleNode>() }
  readonly #found: Diagnostic[] = []

  constructor(surveyed: Surveyed) {
    this.#surveyed = surveyed
    this.#files = new Map(surveyed.files.map((one) => [one.file, one]))
    this.#tree = ruleTree(surveyed.policies)
    const libraries = surveyed.files.filter(
      (one) => (one.isLibrary || one.entrypoints.length > 0) && !isAgent(one.package),
    )
    this.#libraries = new Set(libraries.map((one) => one.package.join('.')))
  }

  findings(): readonly Diagnostic[] {
    const { policies } = this.#surveyed
    for (const rule of policies.filter((one) => this.#isAsked(one))) this.#follow(rule, 'gate')
    for (const rule of policies.filter((one) => this.#isInLibrary(one))) this.#follow(rule, 'other')
    this.#findUnreached()
    this.#findNowhere()
    this.#findHiddenInTests()
    return this.#found
  }

  #isAsked(rule: RuleSurvey): boolean {
    if (!isAgent(rule.package)) return false
    const isOwn = DECIDING.includes(rule.path[rule.package.length] ?? '') && !rule.isFunction
    return isOwn || this.#isEntrypoint(rule)
  }

  #isEntrypoint({ file, location }: RuleSurvey): boolean {
    return this.#files.get(file)?.entrypoints.includes(String(location.row)) === true
  }

  #isInLibrary(rule: RuleSurvey): boolean {
    return this.#libraries.has(rule.package.join('.')) && !this.#isForeign(rule)
  }

  #isForeign({ file }: RuleSurvey): boolean {
    return this.#files.get(file)?.isForeign === true
  }

  // Not by recursion: a chain of rules may be as long as a policy.
  #follow(first: RuleSurvey, caller: Caller): void {
    const open: [RuleSurvey, Caller][] = [[first, caller]]
    for (let next = open.pop(); next; next = open.pop()) {
      const [rule, by] = next
      const callers = this.#reached.get(rule) ?? new Set()
      if (callers.has(by)) continue
      this.#reached.set(rule, callers.add(by))
      for (const read of rule.reads) {
        if (read.root !== 'data') continue
        const then = read.otherInput ? 'other' : by
        for (const node of nodesAt(this.#tree, read.steps)) {
          for (const target of this.#below(node, then)) open.push([target, then])
        }
      }
    }
  }

  /** The rules at a node and below that were not seen from there already. */
  #below(root: RuleNode, caller: Caller): RuleSurvey[] {
    const rules: RuleSurvey[] = []
    const open = [root]
    for (let node = open.pop(); node; node = open.pop()) {
      if (this.#seen[caller].has(node)) continue
      this.#seen[caller].add(node)
      rules.push(...node.rules)
      open.push(...node.children.values())
    }
    return rules
  }

  #findUnreached(): void {
    const unread = this.#surveyed.policies.filter((rule) => !this.#reached.has(rule))
    const [missed, all] = [byFile(unread), byFile(this.#surveyed.policies)]
    const followers = this.#readBy(unread)
    const tested = this.#readBy(this.#surveyed.tests)
    for (const file of this.#surveyed.files) {
      const rules = (missed.get(file.file) ?? []).filter(
        (rule) => !file.isForeign || isNearlyAsked(rule),
      )
      if (file.isTest || rules.length === 0) continue
      const isWhole = rules.length === all.get(file.file)?.length
      if (isWhole && !isAgent(file.package)) this.#unreachable(file)
      // What only such rules read goes with them.
      else
        this.#unknown(
          rules.filter((rule) => !followers.has(rule)),
          tested,
        )
    }
    this.#findUnusedBundles(missed, all)
  }

  #readBy(rules: readonly RuleSurvey[]): ReadonlySet<RuleSurvey> {
    const [read, nodes] = [new Set<RuleSurvey>(), new Set<RuleNode>()]
    for (const rule of rules) {
      for (const { root, steps } of rule.reads) {
        if (root !== 'data') continue
        for (const node of nodesAt(this.#tree, steps)) collect(node, nodes, read)
      }
    }
    return read
  }

  #unreachable(file: RegoFile): void {
    const name = file.package.join('.')
    const near = closest(name, [PACKAGE])
    const tests = file.file.endsWith('.rego') && this.#hasTests(file)
    const hint =
      near !== undefined
        ? `did you mean \`package ${near}\`?`
        : tests
          ? 'tests stand in files whose names end in `_test.rego`'
          : `read it from package \`${PACKAGE}\`, or put \`# portcullis: library\` at the top of the file`
    const message = `package \`${name}\` is read by nothing that decides: the gate asks package \`${PACKAGE}\``
    this.#error(file.location, 'unreachable_package', message, hint)
  }

  #hasTests({ file }: RegoFile): boolean {
    return this.#surveyed.policies.some((rule) => rule.file === file && isTestRule(rule))
  }

  #unknown(rules: readonly RuleSurvey[], tested: ReadonlySet<RuleSurvey>): void {
    const said = new Set<string>()
    for (const rule of rules) {
      const name = nameOf(rule)
      const first = name.split('.')[0] as string
      // One of the four that is no rule but a function has the wrong shape, which is said elsewhere.
      if (said.has(name) || (isAgent(rule.package) && DECIDING.includes(first))) continue
      said.add(name)
      const message = `nothing that decides reads rule \`${name}\``
      this.#error(rule.location, 'unknown_rule', message, this.#ruleHint(rule, tested))
    }
  }

  #ruleHint(rule: RuleSurvey, tested: ReadonlySet<RuleSurvey>): string {
    if (isTestRule(rule)) return 'tests stand in files whose names end in `_test.rego`'
    const near = isAgent(rule.package) ? closest(nameOf(rule), DECIDING) : undefined
    if (near !== undefined) return `did you mean \`${near}\`?`
    if (tested.has(rule)) return 'only tests read it: move it to a file named `*_test.rego`'
    const asked = `the gate asks for ${DECIDING.join(', ')} of package \`${PACKAGE}\``
    if (isAgent(rule.package)) return `${asked}; read it from one of them, or take it out`
    return `${asked}; a file that others use too begins with \`# portcullis: library\``
  }

  // Of a bundle built elsewhere something has to be for this gate.
  #findUnusedBundles(
    missed: ReadonlyMap<string, readonly RuleSurvey[]>,
    all: ReadonlyMap<string, readonly RuleSurvey[]>,
  ): void {
    const used = new Map<string, boolean>()
    for (const file of this.#surveyed.files.filter((one) => one.isForeign)) {
      const bundle = bundleOf(file.file)
      const isUsed = (missed.get(file.file)?.length ?? 0) < (all.get(file.file)?.length ?? 0)
      used.set(bundle, used.get(bundle) === true || isUsed)
    }
    for (const [bundle, isUsed] of used) {
      if (isUsed) continue
      const message = `holds nothing that package \`${PACKAGE}\` reads, and no rule of it`
      const location = { file: bundle, row: 1, col: 1, length: 0 }
      this.#error(location, 'unreachable_package', message)
    }
  }

  #findNowhere(): void {
    const { policies, tests, data } = this.#surveyed
    const everything = [...policies, ...tests]
    for (const [rule, callers] of this.#reached) {
      const asks = callers.has('gate') && !this.#isInLibrary(rule)
      for (const read of rule.reads) {
        if (read.root === 'data') this.#data(read, this.#tree, data, policies)
        else if (asks && !read.otherInput) this.#input(read)
        if (asks) this.#throughRules(read, policies)
      }
      this.#replacements(
        asks ? rule.replaces : rule.replaces.filter(isOfData),
        this.#tree,
        everything,
      )
    }
    this.#parameters()
    if (tests.length === 0) return
    const tree = ruleTree(everything)
    for (const rule of tests) {
      for (const read of rule.reads) {
        if (read.root === 'data') this.#data(read, tree, data, everything)
      }
      this.#replacements(rule.replaces, tree, everything)
    }
  }

  #data(read: Reference, tree: RuleNode, data: JsonObject, replacing: readonly RuleSurvey[]): void {
    if (read.hasDefault) return // a table may lack what a default is given for
    const missing = missingData(tree, data, read.steps)
    if (!missing) return
    const isGiven = replacing.some(({ replaces }) => replaces.some((one) => overlap(one, read)))
    if (!isGiven) this.#nowhere(read, missing, 'no_such_data')
  }

  // `limits := data.frozen.limits` is another name: what is read of the rule is read of the document.
  #throughRules(read: Reference, replacing: readonly RuleSurvey[]): void {
    const inside = readsThroughRules(this.#tree, read)
    const judged = inside.map(([one, own]) => {
      const isKnown = one.root === 'data' || !read.otherInput
      const missing = isKnown ? this.#missing(one) : undefined
      return missing && missing.at >= own ? ([one, missing] as const) : undefined
    })
    const [first] = judged
    if (!first || judged.includes(undefined)) return
    const isGiven = [read, ...inside.map(([one]) => one)].some((one) =>
      replacing.some(({ replaces }) => replaces.some((other) => overlap(other, one))),
    )
    if (!isGiven) this.#nowhere(first[0], first[1], `no_such_${first[0].root}`)
  }

  // What a function is given by one caller and not by another may be there for the other.
  #parameters(): void {
    const deciding = [...this.#reached].filter(([, callers]) => callers.has('gate'))
    const functionsAt = (steps: readonly Step[]) =>
      nodesAt(this.#tree, steps).flatMap(({ rules }) => rules.filter((one) => one.isFunction))
    const rules = deciding.map(([rule]) => rule)
    for (const reads of readsThroughParameters(rules, functionsAt)) {
      const [first, ...others] = reads.map((read) => [read, this.#missing(read)] as const)
      const isNowhere = first?.[1] && others.every(([, missing]) => missing)
      if (isNowhere) this.#nowhere(first[0], first[1], `no_such_${first[0].root}`)
    }
  }

  #missing({ root, steps, hasDefault }: Reference): Missing | undefined {
    if (root === 'input') return missingInput(steps, this.#surveyed.takesInquiries)
    return hasDefault ? undefined : missingData(this.#tree, this.#surveyed.data, steps)
  }

  #input(read: Reference): void {
    const missing = missingInput(read.steps, this.#surveyed.takesInquiries)
    if (missing) this.#nowhere(read, missing, 'no_such_input')
  }

  // Putting something where nothing is and nobody looks: the name is wrong.
  #replacements(
    replaced: readonly Reference[],
    tree: RuleNode,
    reading: readonly RuleSurvey[],
  ): void {
    for (const one of replaced) {
      const { root, steps } = one
      if (root === 'input') {
        this.#replacedInput(one, reading)
        continue
      }
      const missing = missingData(tree, this.#surveyed.data, steps)
      if (!missing) continue
      const isRead = reading.some(({ reads }) => reads.some((read) => overlap(one, read)))
      if (!isRead) this.#nowhere(one, missing, 'no_such_data')
    }
  }

  // Libraries and rules under `with input as ...` have another input, whose members they read by name.
  #replacedInput(one: Reference, reading: readonly RuleSurvey[]): void {
    if (one.otherInput) return
    const missing = missingInput(one.steps, this.#surveyed.takesInquiries)
    const key = missing && one.steps[missing.at]?.key
    if (!missing || key === undefined) return
    const isKey = (step: Step, at: number) =>
      step.key === key || (step.key === undefined && at === missing.at)
    const isRead = reading.some(
      ({ reads, parameterReads }) =>
        reads.some(({ root, steps }) => root === 'input' && steps.some(isKey)) ||
        parameterReads.some(({ steps }) => steps.some(isKey)),
    )
    if (!isRead) this.#nowhere(one, missing, 'no_such_input')
  }

  #nowhere(read: Reference, { at, known, near }: Missing, code: string): void {
    const { root, steps } = read
    const step = steps[at] as Step
    const inside = pathText(root, steps.slice(0, at))
    const hint = near === undefined ? listed(inside, known) : `did you mean \`${near}\`?`
    const location = step.location.row > 0 ? step.location : read.location
    const message = `\`${pathText(root, steps.slice(0, at + 1))}\` cannot exist`
    this.#error(location, code, message, hint)
  }

  #findHiddenInTests(): void {
    const said = new Set<string>()
    for (const rule of this.#surveyed.tests) {
      const name = nameOf(rule)
      if (!isAgent(rule.package) || !DECIDING.includes(name) || rule.isFunction) continue
      if (said.has(`${rule.file} ${name}`)) continue
      said.add(`${rule.file} ${name}`)
      const message = `rule \`${name}\` stands in a file of tests, which decides nothing`
      this.#error(rule.location, 'unknown_rule', message, 'move it out of the `_test.rego` file')
    }
  }

  #error(location: RuleSurvey['location'], code: string, message: string, hint?: string): void {
    this.#found.push(diagnosticAt(placeAt(location), 'error', code, message, hint))
  }
}

const isOfData = ({ root }: Reference): boolean => root === 'data'

const isAgent = (path: readonly string[]): boolean => path.length === 1 && path[0] === PACKAGE

/** The name of a rule within its package. */
const nameOf = (rule: RuleSurvey): string => rule.path.slice(rule.package.length).join('.')

const isTestRule = (rule: RuleSurvey): boolean => /^(?:todo_)?test_/.test(nameOf(rule))

const bundleOf = (file: string): string => file.slice(0, file.indexOf('.tar.gz') + 7)

function byFile(rules: readonly RuleSurvey[]): Map<string, RuleSurvey[]> {
  const found = new Map<string, RuleSurvey[]>()
  for (const rule of rules) {
    const some = found.get(rule.file)
    if (some) some.push(rule)
    else found.set(rule.file, [rule])
  }
  return found
}

function collect(root: RuleNode, seen: Set<RuleNode>, into: Set<RuleSurvey>): void {
  const open = [root]
  for (let node = open.pop(); node; node = open.pop()) {
    if (seen.has(node)) continue
    seen.add(node)
    for (const rule of node.rules) into.add(rule)
    open.push(...node.children.values())
  }
}

const pathText = (root: string, steps: readonly Step[]): string =>
  root + steps.map(({ key }) => stepText(key)).join('')

function stepText(key: string | undefined): string {
  if (key === undefined) return '[_]'
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
}

const LISTED_MAX = 12

function listed(inside: string, known: readonly string[]): string {
  if (known.length === 0) return `\`${inside}\` has no members`
  const more = known.length > LISTED_MAX ? ', …' : ''
  return `\`${inside}\` has ${known.slice(0, LISTED_MAX).join(', ')}${more}`
}
