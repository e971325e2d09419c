import type { Upstream } from '../../model/tool.ts'

/** The variables of the environment whose values no agent may see. */
export function* credentialVariables(
  model: { readonly keyVariable: string | null } | null,
  upstreams: Iterable<Pick<Upstream, 'credential'>>,
): Iterable<string> {
  if (model?.keyVariable) yield model.keyVariable
  for (const { credential } of upstreams) if (credential) yield credential.env
}
