// The heap of one instance: a bump allocator whose pointer the host resets before each evaluation.
// Nothing is ever freed singly; `opa_free` and the block calls of the ABI exist only to be callable.

// @ts-ignore: external names of the ABI
@external("env", "opa_abort")
declare function opa_abort(address: usize): void

/** Where the next allocation goes. Codegen sets the first value to the end of its data segments. */
export let heap: usize = 0
/** Bytes that may be addressed before memory has to grow. */
let heapEnd: usize = 0
/** Steps left in this evaluation. Codegen emits the decrement in loops and calls. */
export let fuel: i32 = 0
export let fuelMax: i32 = 0
export let pagesMax: i32 = 0
/** 1 when an error of a builtin stops the evaluation, 0 when it makes the call undefined. */
export let strictErrors: i32 = 0
/** Strict builds say before each call of a builtin where it stands and what is called, for messages: NUL-terminated. */
export let place: usize = 0
export let called: usize = 0

const PAGE: usize = 65536

export function alloc(size: usize): usize {
  const at = heap
  const next = (at + size + 7) & ~7
  if (next > heapEnd || next < at) grow(next)
  heap = next
  return at
}

function grow(next: usize): void {
  let have = <usize>memory.size() * PAGE
  if (next > have) {
    if (next < heap || next > <usize>pagesMax * PAGE) outOfMemory()
    let want = (next - have + PAGE - 1) / PAGE
    // Growing costs a call into the host, so grow by half as much again when that is allowed.
    const generous = <usize>memory.size() / 2
    if (want < generous && <usize>memory.size() + generous <= <usize>pagesMax) want = generous
    if (memory.grow(<i32>want) < 0) outOfMemory()
    have = <usize>memory.size() * PAGE
  }
  heapEnd = have
}

function outOfMemory(): void {
  abortWith(memory.data<u8>([114, 101, 103, 111, 95, 109, 101, 109, 111, 114, 121, 95, 101, 120, 99, 101, 101, 100, 101, 100, 58, 32, 109, 101, 109, 111, 114, 121, 32, 108, 105, 109, 105, 116, 32, 114, 101, 97, 99, 104, 101, 100, 0]))
}

/** Stops the evaluation with a NUL-terminated text. */
export function abortWith(text: usize): void {
  opa_abort(text)
  unreachable()
}

function outOfFuel(): void {
  abortWith(memory.data<u8>([114, 101, 103, 111, 95, 98, 117, 100, 103, 101, 116, 95, 101, 120, 99, 101, 101, 100, 101, 100, 58, 32, 101, 118, 97, 108, 117, 97, 116, 105, 111, 110, 32, 98, 117, 100, 103, 101, 116, 32, 115, 112, 101, 110, 116, 0]))
}

/** One step of work. */
export function tick(): void {
  if (--fuel < 0) outOfFuel()
}

/** Work in proportion to n, for builtins that loop on their own. */
export function charge(n: i32): void {
  fuel -= n
  if (fuel < 0 || n < 0) outOfFuel()
}

export function setHeap(address: usize): void {
  heap = address
  heapEnd = <usize>memory.size() * PAGE
}

export function opa_malloc(size: usize): usize {
  return alloc(size)
}
export function opa_free(_address: usize): void {}
export function opa_heap_ptr_get(): usize {
  return heap
}
export function opa_heap_ptr_set(address: usize): void {
  setHeap(address)
}
export function opa_heap_blocks_stash(): void {}
export function opa_heap_blocks_restore(): void {}
export function opa_heap_stash_clear(): void {}
