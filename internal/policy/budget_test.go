package policy

import (
	"go/ast"
	"testing"
)

// Budgets of the API. A type with more methods, or options, than one reads in
// one sitting hides the one that is needed: what is new sits in handles, as
// db.Factors(), or in a policy struct.
const (
	maxMethods = 60 // exported, of DB
	maxOptions = 22 // exported fields of Options
)

// TestBudgets counts what go doc prints for the two types that everyone meets.
func TestBudgets(t *testing.T) {
	methods, options := 0, 0
	functions(func(s *source) bool { return s.dir == "." && s.public() }, func(_ *source, fn *ast.FuncDecl) {
		if name, _ := receiverOf(fn); name == "DB" && fn.Name.IsExported() {
			methods++
		}
	})
	for _, s := range sources() {
		if s.dir == "." && s.public() {
			options += exportedFields(s.tree, "Options")
		}
	}
	examined(t, min(methods, options), "methods of DB and fields of Options")
	t.Logf("DB has %d methods, Options %d fields", methods, options)
	if methods > maxMethods {
		t.Errorf("DB has %d exported methods, more than %d", methods, maxMethods)
	}
	if options > maxOptions {
		t.Errorf("Options has %d exported fields, more than %d", options, maxOptions)
	}
}

// exportedFields counts the exported fields of a struct type in a file,
// embedded ones included.
func exportedFields(tree *ast.File, name string) (n int) {
	ast.Inspect(tree, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok || spec.Name.Name != name {
			return true
		}
		if typ, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range typ.Fields.List {
				if field.Names == nil {
					n++
				}
				for _, id := range field.Names {
					if id.IsExported() {
						n++
					}
				}
			}
		}
		return false
	})
	return n
}
