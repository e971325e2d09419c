// Rego to WebAssembly: the public door.
export { compile, plan } from './compile.ts'
export type { Budget, Capabilities, Compiled, CompileOptions, Refused } from './compile.ts'
export type { Diagnostic, SourceLocation } from './diagnostics.ts'
export { renderDiagnostic } from './diagnostics.ts'
