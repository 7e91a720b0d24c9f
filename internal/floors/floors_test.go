// Package floors holds the architecture test: imports go down only.
package floors

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/angarium/angarium/"

// floors gives the floor of each package. A new package gets a line here.
var floors = map[string]int{
	"internal/errs": 0, "internal/mail": 0, "internal/message": 0, "internal/imapwire": 0, "internal/smtpwire": 0, "internal/sasl": 0, "internal/config": 0, "internal/inflate": 0,
	"internal/vfs": 1, "internal/warm": 1, "internal/engine": 1, "internal/engine/mem": 1, "internal/engine/local": 1,
	"internal/fair": 2, "internal/store": 2, "internal/search": 2,
	"internal/telemetry": 3, "internal/auth": 3, "internal/directory": 3, "internal/delivery": 3,
	"internal/trace": 4, "internal/netserver": 4, "internal/applepush": 4, "internal/imapserver": 4, "internal/pop3server": 4, "internal/lmtpserver": 4, "internal/adminserver": 4, "internal/export": 4,
	"cmd/angarium": 5, "internal/floors": 5, "internal/servertest": 5, "internal/doubling": 5, "internal/engine/enginetest": 5,
	"bench": 5, "bench/stats": 5, "bench/plot": 5, "bench/growth": 5, "bench/latency": 5, "bench/cgroup": 5, "bench/slow": 5, "bench/memory": 5, "bench/cold": 5, "bench/limit": 5, "test/harness": 5, "test/harness/fill": 5, "test/harness/flood": 5, "test/kill": 5, "test/idle": 5, "test/clients": 5, "test/roundcube": 5, "test/thunderbird": 5, "test/compare": 5, "test/seeded": 5, "test/crash": 5, "test/fixture": 5, "test/start": 5, "test/pause": 5, "test/check": 5, "test/fair": 5, "test/large": 5, "test/hostile": 5, "test/capabilities": 5,
}

// within lists the imports that are allowed inside a floor.
var within = map[string][]string{
	"internal/mail": {"internal/errs"}, "internal/message": {"internal/errs"}, "internal/smtpwire": {"internal/errs"}, "internal/sasl": {"internal/errs"},
	"internal/config":       {"internal/errs"},
	"internal/imapwire":     {"internal/errs", "internal/mail", "internal/message"},
	"internal/warm":         {"internal/vfs"},
	"internal/engine/mem":   {"internal/engine", "internal/vfs"},
	"internal/engine/local": {"internal/engine", "internal/vfs"},
	"internal/store":        {"internal/fair"},
	"internal/search":       {"internal/fair", "internal/store"},
	"internal/auth":         {"internal/directory", "internal/telemetry"},
	"internal/delivery":     {"internal/directory"},
	"internal/netserver":    {"internal/trace"},
	"internal/imapserver":   {"internal/netserver"},
	"internal/pop3server":   {"internal/netserver"},
	"internal/lmtpserver":   {"internal/netserver"},
	"internal/adminserver":  {"internal/netserver", "internal/trace"},
}

// forbidden lists what the packages of a floor may not import.
var forbidden = map[int][]string{
	0: {"os", "net", "log", "log/slog", "net/mail", "net/textproto", "mime", "mime/multipart", "mime/quotedprintable"},
	1: {"net", "log", "log/slog", "os"},
	2: {"net", "log", "log/slog", "os", "net/mail", "net/textproto", "mime", "mime/multipart"},
	3: {"os", "net/mail", "net/textproto", "mime", "mime/multipart"},
	4: {"net/mail", "net/textproto", "mime", "mime/multipart"},
}

// excepted are imports that a package needs in spite of its floor.
var excepted = map[string][]string{
	"internal/vfs":   {"os"},           // it is the way to files
	"internal/trace": {"internal/vfs"}, // what runs must be known after a crash
}

// calls gives the lowest floor on which a function may be called.
var calls = map[string]int{"time.Now": 3, "time.Since": 3, "context.Background": 5, "context.TODO": 6}

var badNames = []string{"util", "utils", "common", "misc", "helper", "helpers", "base", "manager"}

type file struct {
	path, pkg string
	test      bool
	ast       *ast.File
}

func TestFloors(t *testing.T) {
	files, err := load("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		for _, sentence := range f.check() {
			t.Error(sentence)
		}
	}
}

// TestFloorsCanFail: each rule finds what it is there for.
func TestFloorsCanFail(t *testing.T) {
	for _, tc := range []struct{ pkg, src, want string }{
		{"internal/mail", `import "github.com/angarium/angarium/internal/store"`, "imports internal/store above it"},
		{"internal/imapserver", `import "github.com/angarium/angarium/internal/pop3server"`, "imports internal/pop3server beside it"},
		{"internal/imapserver", `import "github.com/angarium/angarium/internal/engine"`, "is below the store"},
		{"internal/store", `import "log/slog"`, "may not import log/slog"},
		{"internal/message", `import "net/mail"`, "may not import net/mail"},
		{"internal/store", "import \"time\"\nvar x = time.Now()", "calls time.Now"},
		{"internal/auth", "import \"context\"\nvar x = context.Background()", "calls context.Background"},
		{"internal/store", "func init() {}", "has an init function"},
		{"internal/util", "", "named util"},
		{"internal/newcomer", "", "no floor"},
	} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n"+tc.src, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := file{path: tc.pkg + "/x.go", pkg: tc.pkg, ast: parsed}
		if got := strings.Join(f.check(), "\n"); !strings.Contains(got, tc.want) {
			t.Errorf("%s with %q: %q", tc.pkg, tc.src, got)
		}
	}
}

func load(root string) (files []file, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		files = append(files, file{rel, filepath.ToSlash(filepath.Dir(rel)), strings.HasSuffix(path, "_test.go"), parsed})
		return err
	})
	return files, err
}

// check returns a sentence for each rule that the file breaks. Tests may import
// and call what they like.
func (f *file) check() (broken []string) {
	say := func(format string, a ...any) { broken = append(broken, f.path+": "+fmt.Sprintf(format, a...)) }
	if slices.Contains(badNames, filepath.Base(f.pkg)) {
		say("a package named %s says nothing about its duty", filepath.Base(f.pkg))
	}
	floor, ok := floors[f.pkg]
	if !ok {
		say("package %s has no floor: give it a line in floors_test.go", f.pkg)
		return broken
	}
	if f.test {
		return broken
	}
	for _, spec := range f.ast.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		if target, ours := strings.CutPrefix(path, module); ours {
			if sentence := f.edge(floor, target); sentence != "" {
				say("%s", sentence)
			}
		} else if slices.Contains(forbidden[floor], path) && !slices.Contains(excepted[f.pkg], path) {
			say("%s is on floor %d, which may not import %s", f.pkg, floor, path)
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Name.Name == "init" && n.Recv == nil {
				say("%s has an init function: register in a visible list", f.pkg)
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				name := x.Name + "." + n.Sel.Name
				if lowest, watched := calls[name]; watched && floor < lowest {
					say("%s is on floor %d and calls %s, which is for floor %d and up", f.pkg, floor, name, lowest)
				}
			}
		}
		return true
	})
	return broken
}

// edge says what is wrong with an import of one of our packages.
func (f *file) edge(floor int, target string) string {
	to, ok := floors[target]
	switch {
	case !ok:
		return f.pkg + " imports " + target + ", which has no floor"
	case to > floor:
		return f.pkg + " imports " + target + " above it"
	case to == floor && floor < 5 && !slices.Contains(within[f.pkg], target):
		return f.pkg + " imports " + target + " beside it"
	case floor == 1 && to == 0 && target != "internal/errs":
		return f.pkg + " imports " + target + ": engines know no mail"
	case floor > 2 && floor < 5 && to == 1 && !slices.Contains(excepted[f.pkg], target):
		return f.pkg + " imports " + target + ", which is below the store"
	case target == "internal/servertest":
		return f.pkg + " imports internal/servertest, which is for tests"
	}
	return ""
}
