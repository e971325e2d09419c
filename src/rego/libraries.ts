// Libraries behind builtins that few policies call, loaded when one is called: reading them all takes longer than
// compiling a policy.
import { createRequire } from 'node:module'
import type * as Graphql from 'graphql'
import type * as GraphqlValidate from 'graphql/validation/validate.js'
import type * as Re2 from 're2js'
import type * as Yaml from 'yaml'

const require = createRequire(import.meta.url)

function lazily<T>(name: string): () => T {
  let library: T | undefined
  return () => (library ??= require(name) as T)
}

export const graphql = lazily<typeof Graphql>('graphql')
export const graphqlValidate = lazily<typeof GraphqlValidate>('graphql/validation/validate.js')
export const re2 = lazily<typeof Re2>('re2js')
export const yaml = lazily<typeof Yaml>('yaml')
