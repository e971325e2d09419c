import type { Block, Func, Local, Location, Operand, Plan, Stmt } from '../ir/ir.ts'
import { Code, type Label, OP } from '../wasm/instructions.ts'
import { type Lifetime, lifetimes } from './lifetimes.ts'
import type { Layout } from './layout.ts'
import { TRACE_MISSING } from '../abi.ts'

// A value is an address; 0 is undefined. Each block of the IR becomes a wasm block, and a statement that is
// undefined branches to its end, so a body that holds falls through and one that does not costs a jump. Locals of
// the IR outnumber those of wasm: one that lives in some of the outermost blocks only (`lifetimes.ts`) leaves its
// place to what comes later, and is cleared there if it is tested before it is set.

/** A memoised result that is known to be undefined; no value lives at this address. */
const KNOWN_UNDEFINED = 1

/** Generates one function. A block of the IR is a wasm block; an undefined statement branches to its end. */
class FunctionGenerator {
  readonly #layout: Layout
  readonly #code: Code
  readonly #locals = new Map<Local, number>()
  /** Ends of the enclosing IR blocks, innermost last. */
  readonly #blocks: Label[] = []
  /** Places of locals that are not needed any more. */
  readonly #free: number[] = []
  #memoAt: number | undefined
  readonly #resultSet: number | undefined

  constructor(layout: Layout, params: readonly Local[], resultSet: boolean) {
    this.#layout = layout
    this.#code = new Code(params.length + (resultSet ? 1 : 0))
    for (const [i, param] of params.entries()) this.#locals.set(param, i)
    this.#resultSet = resultSet ? params.length : undefined
  }

  func(func: Func): Uint8Array {
    if (func.memo) this.#memoEnter(func)
    this.#tick()
    this.#body(func.blocks)
    if (this.#memoAt !== undefined) this.#code.get(this.#memoAt).const(KNOWN_UNDEFINED).store(0)
    this.#code.const(0)
    return this.#code.finish()
  }

  plan(plan: Plan): Uint8Array {
    this.#body(plan.blocks)
    return this.#code.finish()
  }

  /** The outermost blocks. What lives only in some of them leaves its place to what comes later. */
  #body(blocks: readonly Block[]): void {
    const begin: [Local, Lifetime][][] = blocks.map(() => [])
    const end: Local[][] = blocks.map(() => [])
    for (const [local, lifetime] of lifetimes(blocks)) {
      if (this.#locals.has(local)) continue // a parameter
      begin[lifetime.first]?.push([local, lifetime])
      end[lifetime.last]?.push(local)
    }
    for (const [at, block] of blocks.entries()) {
      for (const [local, { isTested }] of begin[at] ?? []) this.#place(local, isTested)
      this.#blockList([block])
      for (const local of end[at] ?? []) this.#free.push(this.#local(local))
    }
  }

  #place(local: Local, isTested: boolean): void {
    const free = this.#free.pop()
    this.#locals.set(local, free ?? this.#code.newLocal())
    if (free !== undefined && isTested) this.#code.const(0).set(free)
  }

  #take(): number {
    return this.#free.pop() ?? this.#code.newLocal()
  }

  /** One step of the budget, without a call for as long as there is some left. */
  #tick(): void {
    const { fuelGlobal, functions } = this.#layout
    this.#code.globalGet(fuelGlobal).const(1).op(OP.sub).globalSet(fuelGlobal)
    this.#code.globalGet(fuelGlobal).const(0).op(OP.ltS)
    this.#code.if()
    this.#code.call(functions.tick)
    this.#code.end()
  }

  #memoEnter(func: Func): void {
    const code = this.#code
    const slot = this.#layout.memoSlot(func.name)
    const at = code.newLocal()
    const known = code.newLocal()
    this.#memoAt = at
    code
      .globalGet(this.#layout.memoGlobal)
      .const(slot * 4)
      .op(OP.add)
      .tee(at)
      .load(0)
      .tee(known)
    code.if()
    code.const(0).get(known).get(known).const(KNOWN_UNDEFINED).op(OP.eq).op(OP.select).return()
    code.end()
  }

  #local(local: Local): number {
    let known = this.#locals.get(local)
    if (known === undefined) {
      known = this.#code.newLocal()
      this.#locals.set(local, known)
    }
    return known
  }

  #push(operand: Operand): void {
    const { layout, code } = { layout: this.#layout, code: this.#code }
    if (operand.type === 'local') code.get(this.#local(operand.value))
    else if (operand.type === 'bool') code.const(layout.bool(operand.value))
    else if (operand.type === 'string_index') code.const(layout.string(operand.value))
    else code.const(layout.constant(operand.value))
  }

  #blockList(blocks: readonly Block[]): void {
    for (const block of blocks) {
      this.#blocks.push(this.#code.block())
      for (const stmt of block.stmts) this.#stmt(stmt)
      this.#blocks.pop()
      this.#code.end()
    }
  }

  /** A block whose failure the caller handles: returns with the wasm block still open, as the innermost IR block. */
  #open(block: Block): Label {
    const label = this.#code.block()
    this.#blocks.push(label)
    for (const stmt of block.stmts) this.#stmt(stmt)
    return label
  }

  #close(): void {
    this.#blocks.pop()
    this.#code.end()
  }

  #label(up: number): Label {
    const label = this.#blocks[this.#blocks.length - 1 - up]
    if (label === undefined) throw new Error('a break leaves the function')
    return label
  }

  /** Branches to the end of the innermost block when the value on the stack is not zero. */
  #failIf(): void {
    this.#code.brIf(this.#label(0))
  }
  #failUnless(): void {
    this.#code.op(OP.eqz).brIf(this.#label(0))
  }

  #stmt(stmt: Stmt): void {
    const code = this.#code
    const { functions: f } = this.#layout
    switch (stmt.type) {
      case 'ArrayAppendStmt':
        code.get(this.#local(stmt.array))
        this.#push(stmt.value)
        code.call(f.arrPush)
        return
      case 'AssignIntStmt':
      case 'MakeNumberIntStmt':
        code.const(this.#layout.number(String(stmt.value))).set(this.#local(stmt.target))
        return
      case 'AssignVarStmt':
        this.#push(stmt.source)
        code.set(this.#local(stmt.target))
        return
      case 'AssignVarOnceStmt':
        return this.#assignOnce(stmt.source, stmt.target)
      case 'BlockStmt':
        return this.#blockList(stmt.blocks)
      case 'BreakStmt':
        code.br(this.#label(stmt.index))
        return
      case 'CallStmt':
        return this.#call(stmt)
      case 'CallDynamicStmt':
        return this.#callDynamic(stmt.path, stmt.args, stmt.result)
      case 'DotStmt':
        this.#push(stmt.source)
        this.#push(stmt.key)
        code.call(stmt.key.type === 'string_index' ? f.dot : stmt.base ? f.atBase : f.at)
        code.tee(this.#local(stmt.target))
        return this.#failUnless()
      case 'EqualStmt':
        this.#compareEqual(stmt.a, stmt.b)
        return this.#failUnless()
      case 'NotEqualStmt':
        this.#compareEqual(stmt.a, stmt.b)
        return this.#failIf()
      case 'CompareStmt':
        return this.#compare(stmt)
      case 'IsArrayStmt':
        return this.#isTag(stmt.source, 5)
      case 'IsObjectStmt':
        return this.#isTag(stmt.source, 6)
      case 'IsSetStmt':
        return this.#isTag(stmt.source, 7)
      case 'BadPathStmt':
        code.call(f.badPath)
        return
      case 'IsSettledStmt':
        code.get(this.#local(stmt.source)).call(f.settled)
        return
      case 'WrittenSetStmt':
        code.get(this.#local(stmt.source)).get(this.#local(stmt.array)).call(f.writtenSet)
        code.set(this.#local(stmt.target))
        return
      case 'IsCollectionStmt':
        this.#push(stmt.source)
        code.load8(0).const(5).op(OP.ltU)
        return this.#failIf()
      case 'IsDefinedStmt':
        code.get(this.#local(stmt.source))
        return this.#failUnless()
      case 'IsUndefinedStmt':
        code.get(this.#local(stmt.source))
        return this.#failIf()
      case 'LenStmt':
        this.#push(stmt.source)
        code.call(f.length).tee(this.#local(stmt.target))
        return this.#failUnless()
      case 'MakeArrayStmt':
        code.const(stmt.capacity).call(f.mkArray).set(this.#local(stmt.target))
        return
      case 'MakeNullStmt':
        code.const(this.#layout.null).set(this.#local(stmt.target))
        return
      case 'MakeNumberRefStmt':
        code.const(this.#layout.numberRef(stmt.index)).set(this.#local(stmt.target))
        return
      case 'MakeObjectStmt':
        code.call(f.mkObject).set(this.#local(stmt.target))
        return
      case 'MakeSetStmt':
        code.call(f.mkSet).set(this.#local(stmt.target))
        return
      case 'NotStmt':
        this.#open(stmt.block)
        code.br(this.#label(1))
        return this.#close()
      case 'ObjectInsertStmt':
        return this.#insert(f.objPut, stmt)
      case 'ObjectInsertOnceStmt':
        return this.#insert(f.insertOnce, stmt)
      case 'ObjectMergeStmt':
        code.get(this.#local(stmt.a)).get(this.#local(stmt.b)).call(f.mergeOver)
        code.set(this.#local(stmt.target))
        return
      case 'ResetLocalStmt':
        code.const(0).set(this.#local(stmt.target))
        return
      case 'ResultSetAddStmt':
        if (this.#resultSet === undefined) throw new Error('a result outside a plan')
        code.get(this.#resultSet).get(this.#local(stmt.value)).call(f.setAdd)
        return
      case 'ReturnLocalStmt':
        return this.#return(stmt.source)
      case 'ScanStmt':
        return this.#scan(stmt)
      case 'SetAddStmt':
        code.get(this.#local(stmt.set))
        this.#push(stmt.value)
        code.call(f.setAdd)
        return
      case 'WithStmt':
        return this.#with(stmt)
      case 'NestedInsertStmt':
      case 'NestedAddStmt':
        return this.#nested(stmt)
      case 'TraceStmt':
        code.const(this.#layout.tracePoint(stmt.point)).const(stmt.outcome).call(f.traceHit)
        return
      case 'TraceValueStmt':
        code.const(this.#layout.tracePoint(stmt.point)).const(this.#layout.traceSlot(stmt.slot))
        if (stmt.source === 'unseen') code.const(0)
        else if (stmt.source === 'missing') code.const(TRACE_MISSING)
        else this.#push(stmt.source)
        code.call(f.traceValue)
        return
      case 'IndexStmt':
        if (stmt.source) {
          code.const(this.#layout.constant(stmt.table))
          this.#push(stmt.source)
          code.call(f.caseOf)
        } else code.const(-1)
        code.set(this.#local(stmt.target))
        return
      case 'CaseStmt':
        code.get(this.#local(stmt.source)).const(stmt.at).op(OP.ne)
        return this.#failIf()
    }
  }

  #insert(
    func: number,
    stmt: { readonly key: Operand; readonly value: Operand; readonly object: Local },
  ): void {
    this.#code.get(this.#local(stmt.object))
    this.#push(stmt.key)
    this.#push(stmt.value)
    this.#code.call(func)
  }

  #nested(stmt: Extract<Stmt, { type: 'NestedInsertStmt' | 'NestedAddStmt' }>): void {
    const code = this.#code
    const { functions: f } = this.#layout
    code.get(this.#local(stmt.object))
    for (const [i, key] of stmt.path.entries()) {
      this.#push(key)
      const last = i === stmt.path.length - 1
      if (!last) code.call(f.nestedChild)
      else if (stmt.type === 'NestedAddStmt') code.call(f.nestedSet)
    }
    if (stmt.type === 'NestedInsertStmt') {
      this.#push(stmt.value)
      code.const(stmt.fallback ? 1 : 0).call(f.nestedInsert)
    } else if (stmt.value) {
      this.#push(stmt.value)
      code.call(f.setAdd)
    } else code.op(OP.drop)
  }

  #compareEqual(a: Operand, b: Operand): void {
    this.#push(a)
    this.#push(b)
    // There is one true and one false, so addresses decide.
    if (a.type === 'bool' || b.type === 'bool') this.#code.op(OP.eq)
    else this.#code.call(this.#layout.functions.equal)
  }

  #compare(stmt: Extract<Stmt, { type: 'CompareStmt' }>): void {
    this.#push(stmt.a)
    this.#push(stmt.b)
    this.#code.call(this.#layout.functions.compare).const(0)
    const { ltS, gtS } = OP
    if (stmt.op === 'lt') this.#code.op(ltS).op(OP.eqz)
    else if (stmt.op === 'gt') this.#code.op(gtS).op(OP.eqz)
    else this.#code.op(stmt.op === 'lte' ? gtS : ltS)
    this.#failIf()
  }

  #isTag(source: Operand, tag: number): void {
    this.#push(source)
    this.#code.load8(0).const(tag).op(OP.ne)
    this.#failIf()
  }

  #assignOnce(source: Operand, target: Local): void {
    const code = this.#code
    const local = this.#local(target)
    code.get(local)
    code.if()
    code.get(local)
    this.#push(source)
    code.call(this.#layout.functions.equal).op(OP.eqz)
    code.if()
    code.call(this.#layout.functions.conflictRule)
    code.end()
    code.else()
    this.#push(source)
    code.set(local)
    code.end()
  }

  /** Strict builds: what a message of a builtin begins with. */
  #announce(name: string, { file, row }: Partial<Location>): void {
    const { callGlobals } = this.#layout
    if (!callGlobals) return
    const place =
      file === undefined ? 0 : this.#layout.terminated(`${this.#layout.file(file)}:${row}: `)
    this.#code.const(place).globalSet(callGlobals.place)
    this.#code.const(this.#layout.terminated(`${name}: `)).globalSet(callGlobals.called)
  }

  #call(stmt: Extract<Stmt, { type: 'CallStmt' }>): void {
    const { func: name, args, result } = stmt
    const code = this.#code
    const own = this.#layout.func(name)
    const target = this.#local(result)
    if (own !== undefined) {
      for (const arg of args) this.#push(arg)
      code.call(own)
    } else {
      const builtin = this.#layout.builtin(name)
      this.#announce(name, stmt)
      if (builtin.home === 'machine') {
        for (const arg of args) this.#push(arg)
        code.call(builtin.index)
      } else {
        const operands = this.#take()
        code.const(args.length).call(this.#layout.functions.mkArray).set(operands)
        for (const arg of args) {
          code.get(operands)
          this.#push(arg)
          code.call(this.#layout.functions.arrPush)
        }
        const { callHost, callPlain } = this.#layout.functions
        code.const(builtin.index).get(operands)
        code.call(builtin.home === 'host' ? callHost : callPlain)
        this.#free.push(operands)
      }
    }
    code.tee(target)
    this.#failUnless()
  }

  /** Calls whichever function of that path length has the path's values at run time. */
  #callDynamic(path: readonly Operand[], args: readonly Local[], result: Local): void {
    const code = this.#code
    const target = this.#local(result)
    const done = code.block()
    for (const { index, path: names } of this.#layout.funcsOfLength(path.length)) {
      const next = code.block()
      let possible = true
      for (const [i, operand] of path.entries()) {
        const name = names[i] ?? ''
        if (operand.type === 'string_index') {
          if (this.#layout.text(operand.value) !== name) possible = false
          continue
        }
        this.#push(operand)
        code.const(this.#layout.stringOf(name)).call(this.#layout.functions.equal)
        code.op(OP.eqz).brIf(next)
      }
      if (possible) {
        for (const arg of args) code.get(this.#local(arg))
        code.call(index).set(target).br(done)
      }
      code.end()
    }
    code.const(0).set(target)
    code.end()
    code.get(target)
    this.#failUnless()
  }

  #return(source: Local): void {
    const code = this.#code
    const local = this.#local(source)
    if (this.#memoAt !== undefined) {
      code.get(this.#memoAt)
      code.get(local)
      if (this.#layout.hasWrittenSets) code.call(this.#layout.functions.plainOf)
      code.const(KNOWN_UNDEFINED).get(local).op(OP.select).store(0)
    }
    code.get(local).return()
  }

  #scan(stmt: Extract<Stmt, { type: 'ScanStmt' }>): void {
    const code = this.#code
    const { functions: f } = this.#layout
    const take = () => this.#take()
    const written = stmt.ordered && this.#layout.hasWrittenSets ? take() : undefined
    const source = written ?? this.#local(stmt.source)
    if (written !== undefined) code.get(this.#local(stmt.source)).call(f.scanView).set(written)
    const [at, end, stride, offset] = [take(), take(), take(), take()] as const
    const exit = code.block()
    code
      .get(source)
      .const(stmt.ordered ? 1 : 0)
      .call(f.scanCount)
      .tee(end)
      .op(OP.eqz)
      .brIf(exit)
    // Elements of an array are four bytes, entries of a table twelve with the value behind the key. Where they lie is
    // read once: sorting the table meanwhile would move its entries, not change these.
    code.const(4).const(12).get(source).load8(0).const(5).op(OP.eq).op(OP.select).set(stride)
    code.const(0).const(4).get(stride).const(4).op(OP.eq).op(OP.select).set(offset)
    code.get(source).load(12).tee(at).get(end).get(stride).op(OP.mul).op(OP.add).set(end)
    const index = stmt.key >= 0 ? take() : -1
    if (index >= 0) code.const(-1).set(index)
    const loop = code.loop()
    code.get(at).get(end).op(OP.geU).brIf(exit)
    this.#tick()
    if (index >= 0) {
      code.get(index).const(1).op(OP.add).set(index)
      code.get(stride).const(4).op(OP.eq)
      code.if()
      code.get(index).call(f.mkIndex).set(this.#local(stmt.key))
      code.else()
      code.get(at).load(0).set(this.#local(stmt.key))
      code.end()
    }
    if (stmt.value >= 0) code.get(at).get(offset).op(OP.add).load(0).set(this.#local(stmt.value))
    code.get(at).get(stride).op(OP.add).set(at)
    this.#open(stmt.block)
    this.#close()
    code.br(loop)
    code.end()
    code.end()
    this.#free.push(at, end, stride, offset, ...(index >= 0 ? [index] : []))
    if (written !== undefined) this.#free.push(written)
  }

  #with(stmt: Extract<Stmt, { type: 'WithStmt' }>): void {
    const code = this.#code
    const { functions: f, memoGlobal, memoBytes } = this.#layout
    const local = this.#local(stmt.local)
    const before = this.#take()
    const memo = this.#take()
    code.get(local).set(before)
    code.globalGet(memoGlobal).set(memo)
    if (stmt.keep !== undefined) code.get(memo).set(this.#local(stmt.keep))
    if (stmt.path && stmt.path.length > 0) {
      const path = this.#take()
      code.const(stmt.path.length).call(f.mkArray).set(path)
      for (const key of stmt.path) {
        code.get(path).const(this.#layout.string(key)).call(f.arrPush)
      }
      code.get(before).get(path)
      this.#push(stmt.value)
      code.const(0).call(f.withPath).set(local)
      this.#free.push(path)
    } else {
      this.#push(stmt.value)
      code.set(local)
    }
    if (stmt.use === undefined) code.const(memoBytes).call(f.memoTable).globalSet(memoGlobal)
    else code.get(this.#local(stmt.use)).globalSet(memoGlobal)
    const restore = () => code.get(before).set(local).get(memo).globalSet(memoGlobal)
    const done = code.block()
    this.#open(stmt.block)
    restore()
    code.br(done)
    this.#close()
    restore()
    code.br(this.#label(0))
    code.end()
    this.#free.push(before, memo)
  }
}

export function generateFunc(layout: Layout, func: Func): Uint8Array {
  return new FunctionGenerator(layout, func.params, false).func(func)
}

/** A plan takes input, data and the result set. */
export function generatePlan(layout: Layout, plan: Plan): Uint8Array {
  return new FunctionGenerator(layout, [0, 1], true).plan(plan)
}
