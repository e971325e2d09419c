import { secretVariables } from '../../bundle/child-env.ts'
import type { Credential, Upstream } from '../../model/tool.ts'

/** The variables of the environment whose values no agent may see. */
export function* credentialVariables(
  model: { readonly keyVariable: string | null } | null,
  upstreams: Iterable<Pick<Upstream, 'credential' | 'program'>>,
): Iterable<string> {
  if (model?.keyVariable) yield model.keyVariable
  for (const { credential, program } of upstreams) {
    yield* variablesOf(credential)
    if (program) yield* secretVariables(program)
  }
}

/** The variables that one credential is made of. */
export function variablesOf(credential: Credential | null): readonly string[] {
  if (!credential) return []
  if ('basic' in credential) return [credential.basic.userEnv, credential.basic.passwordEnv]
  if ('oauth2' in credential) return [credential.oauth2.clientSecretEnv]
  return [credential.env]
}
