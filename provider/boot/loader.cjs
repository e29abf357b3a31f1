"use strict";
// TypeScript for our own files. tsx searches every .js file for ES module syntax as well, which for the packages'
// CommonJS takes a third of the plugin's start; those are loaded as node loads them.
const { _extensions: loaders } = require("node:module");
const plain = loaders[".js"];
require("../../node_modules/tsx/dist/cjs/index.cjs");
const typed = loaders[".js"];
loaders[".js"] = (module, path) => (/[\\/]node_modules[\\/]/.test(path) ? plain : typed)(module, path);
