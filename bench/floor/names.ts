/** The package of the plugin that does nothing, and its one kind of resource. */
export const floorPackage = "guardian-floor";
export const stepToken = `${floorPackage}:index:Step`;
