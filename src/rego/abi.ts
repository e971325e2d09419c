// Names and numbers that codegen, the machine and the host agree on.

/** ABI version that a module declares: 1.3. */
export const ABI_VERSION = 1
export const ABI_MINOR = 3

export const TAG = {
  null: 1,
  boolean: 2,
  number: 3,
  string: 4,
  array: 5,
  object: 6,
  set: 7,
} as const

/** Functions of the machine that the ABI exports under their own names. */
export const ABI_EXPORTS: readonly string[] = [
  'opa_malloc',
  'opa_free',
  'opa_heap_ptr_get',
  'opa_heap_ptr_set',
  'opa_heap_blocks_stash',
  'opa_heap_blocks_restore',
  'opa_heap_stash_clear',
  'opa_json_parse',
  'opa_json_dump',
  'opa_value_parse',
  'opa_value_dump',
  'opa_value_compare',
  'opa_value_add_path',
  'opa_value_remove_path',
  'opa_eval_ctx_new',
  'opa_eval_ctx_set_input',
  'opa_eval_ctx_set_data',
  'opa_eval_ctx_set_entrypoint',
  'opa_eval_ctx_get_result',
]

/** Our host functions are imported under this prefix: the npm SDK would prefer its own of the plain name. */
export const HOST_PREFIX = 'rego.'

/** A point of a trace build: how often it was reached, held and had a value. Behind all points come the values kept. */
export const TRACE_POINT_BYTES = 12
/** Kept in place of a value that was looked for and is undefined; no value lives at this address. */
export const TRACE_MISSING = 1

export const PAGE_BYTES = 65536

/** Memory pages that the npm SDK creates unless told otherwise; a module must start in them. */
export const PAGES_MIN = 5
/** Default limit of an instance: 4,096 pages, 256 MiB. */
export const PAGES_MAX = 4096
/** Default evaluation budget in steps; a step is a call, an iteration, or about one element of work in a builtin. */
export const STEPS_MAX = 50_000_000

/** Codes of errors that end an evaluation. */
export const EVAL_ERRORS = [
  'rego_budget_exceeded',
  'rego_memory_exceeded',
  'rego_input_invalid',
  'eval_conflict_error',
  'eval_builtin_error',
  'eval_type_error',
] as const
export type EvalErrorCode =
  | (typeof EVAL_ERRORS)[number]
  | 'eval_internal_error'
  | 'rego_entrypoint_unknown'
