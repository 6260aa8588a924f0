/** What to do if the operator worker still runs the code of before a deployment, and so takes a later view for frozen. */
export function outdatedOperator(name: string, servingVersion: number, version: number): string {
  return (
    `${name} is served in version ${servingVersion}, but the operator worker runs code with version ${version} and cannot tell how ` +
    `the view is: replace the operator worker, too ("cqrs worker operator" of the code with version ${servingVersion})`
  )
}
