// The plugin of @pulumi/postgresql from the sources that its makers build it from: HashiCorp's provider by cyrilgdn and Pulumi's
// bridge, at the versions of their 3.18. For tests, where the official download cannot be had.
package main

import (
	"strings"
	"unicode"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/terraform-providers/terraform-provider-postgresql/postgresql"
)

const version = "3.18.1"

// token gives the type that @pulumi/postgresql asks for: postgresql_grant_role is postgresql:index/grantRole:GrantRole.
func token(resource string) tokens.Type {
	name := ""
	for _, word := range strings.Split(strings.TrimPrefix(resource, "postgresql_"), "_") {
		name += string(unicode.ToUpper(rune(word[0]))) + word[1:]
	}
	module := string(unicode.ToLower(rune(name[0]))) + name[1:]
	return tokens.Type("postgresql:index/" + module + ":" + name)
}

func main() {
	info := tfbridge.ProviderInfo{
		P:       shimv2.NewProvider(postgresql.Provider()),
		Name:    "postgresql",
		Version: version,
		Resources: map[string]*tfbridge.ResourceInfo{
			"postgresql_role":               {},
			"postgresql_grant_role":         {},
			"postgresql_grant":              {DeleteBeforeReplace: true},
			"postgresql_default_privileges": {},
		},
		EnableZeroDefaultSchemaVersion: true,
		EnableAccurateBridgePreview:    true,
	}
	for name, resource := range info.Resources {
		resource.Tok = token(name)
	}
	// Whatever else it can make is no business of this stack's.
	for _, name := range []string{
		"database", "extension", "schema", "function", "publication", "subscription", "replication_slot",
		"physical_replication_slot", "server", "user_mapping", "security_label",
	} {
		info.IgnoreMappings = append(info.IgnoreMappings, "postgresql_"+name)
	}
	tfbridge.Main(info.Name, version, info, []byte("{}"))
}
