import { unmarshal } from './host/builtins/yaml.ts'
import { toJs } from './host/value.ts'

/**
 * A YAML text as OPA reads it, and `yaml.unmarshal`: its first document, where `on` is true, `0644` octal and `<<` merges.
 * Plain JavaScript; null where there is no document. @throws Error that says why it cannot be read
 */
export const readYaml = (text: string): unknown => toJs(unmarshal(text))
