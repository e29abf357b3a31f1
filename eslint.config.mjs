import tseslint from "typescript-eslint";

/** Arrows go one way (see CONTRIBUTING.md): what a layer must not import, and why it must not. */
const forbid = (files, patterns, message) => ({
  files,
  rules: { "no-restricted-imports": ["error", { patterns: [{ regex: patterns, message }] }] },
});

const pulumi = "^@pulumi/|^(\\.\\.?/)+(provider|resources|components|config|scripts|tests|bench)(/|$)";

// The index is some thousand files of types, for which tsc takes half a gigabyte.
const wholeAws = {
  regex: "^@pulumi/aws(/[a-z0-9]+)?(/index)?$",
  caseSensitive: true,
  message: "of @pulumi/aws only the files that are needed, such as @pulumi/aws/rds/snapshot",
};

export default tseslint.config(
  { ignores: ["node_modules/", ".guardian/", "sdks/", "**/*.mjs", "**/*.cjs"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-extraneous-class": "off",
      "@typescript-eslint/unbound-method": "off",
      // Resource classes are made by resources/define.ts: instances of Resource, which the type cannot say.
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
      // Said of every file, beside what the layers forbid by the rule of eslint itself.
      "@typescript-eslint/no-restricted-imports": ["error", { patterns: [wholeAws] }],
    },
  },
  forbid(["spec/**/*.ts"], "^(?!\\./)", "spec/ imports nothing"),
  forbid(["engine/**/*.ts"], pulumi, "engine/ knows nothing of Pulumi"),
  // Of two entries for one file the last counts: both say what they forbid to it.
  forbid(["engine/migrate/phases/*.ts"], `${pulumi}|^\\./`, "phases know neither each other nor Pulumi"),
  forbid(
    ["provider/**/*.ts"],
    "^pg$|^(\\.\\.?/)+(engine|resources|components|config|scripts|tests|bench)(/|$)",
    "provider/ knows nothing of PostgreSQL, nor of what it serves",
  ),
  forbid(["resources/**/*.ts"], "^(\\.\\.?/)+(scripts|tests|bench)/", "the product does not need its own tools"),
  // The program's part of resources/, after the whole of it.
  forbid(
    [
      "index.ts",
      "foundation/index.ts",
      "config/**/*.ts",
      "components/**/*.ts",
      "resources/**/{declare,spec}.ts",
      "resources/define.ts",
    ],
    "^pg$|^(\\.\\.?/)+(engine|provider|scripts|tests|bench)/|/handle$",
    "what the program declares reaches neither pg nor engine/",
  ),
  {
    files: ["tests/**/*.ts"],
    rules: {
      "@typescript-eslint/no-unused-expressions": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-require-imports": "off",
    },
  },
);
