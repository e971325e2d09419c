import type { ApprovalTerms } from '../model/decision.ts'
import { isForRoles } from '../bundle/roles.ts'
import type { ApprovalRule, ApprovalRules } from '../bundle/types.ts'

/** Who must agree to this tool being used by an agent of these roles: the first rule that fits. */
export function approvalFor(
  tool: string,
  roles: readonly string[],
  { default: fallback, rules }: ApprovalRules,
): ApprovalTerms {
  return rules.find((rule) => fits(rule, tool, roles))?.terms ?? fallback
}

const fits = (rule: ApprovalRule, tool: string, roles: readonly string[]): boolean =>
  (rule.tools === null || rule.tools.has(tool)) && isForRoles(rule, roles)
