package thunderbird

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/test/harness"
)

// marionette is a connection to Thunderbird's own remote control: objects in
// JSON, each with its length before it (protocol 3).
type marionette struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	last int
}

// dial waits for Thunderbird and begins a session in which scripts may do what
// its own code may.
func dial(t *testing.T, addr string) *marionette {
	t.Helper()
	m := &marionette{t: t}
	harness.Await(t, "Thunderbird's remote control", func() (ok bool) {
		conn, err := net.Dial("tcp", addr)
		m.conn = conn
		return err == nil
	})
	t.Cleanup(func() { m.conn.Close() })
	m.conn.SetDeadline(time.Now().Add(3 * time.Minute))
	m.in = bufio.NewReader(m.conn)
	m.read() // what it is
	m.call("WebDriver:NewSession", map[string]any{})
	m.call("Marionette:SetContext", map[string]any{"value": "chrome"})
	return m
}

// call carries out a command and returns its result.
func (m *marionette) call(command string, parameters map[string]any) json.RawMessage {
	m.t.Helper()
	m.last++
	text, err := json.Marshal([]any{0, m.last, command, parameters})
	if err == nil {
		_, err = fmt.Fprintf(m.conn, "%d:%s", len(text), text)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	var answer []json.RawMessage // 1, the number, the error, the result
	if err := json.Unmarshal(m.read(), &answer); err != nil || len(answer) != 4 {
		m.t.Fatalf("%s: %v, %s", command, err, answer)
	}
	if failed := string(answer[2]); failed != "null" {
		m.t.Fatalf("%s: %s\n%v", command, failed, parameters)
	}
	return answer[3]
}

func (m *marionette) read() []byte {
	m.t.Helper()
	length, err := m.in.ReadString(':')
	n, bad := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil || bad != nil || n > 1<<20 {
		m.t.Fatalf("Thunderbird sent %q: %v", length, err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(m.in, b); err != nil {
		m.t.Fatal(err)
	}
	return b
}

// prelude is before each script.
const prelude = `
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const server = MailServices.accounts.accounts[0].incomingServer, root = server.rootFolder;
const folder = name => root.descendants.find(f => f.name == name);
const header = (name, subject) => [...folder(name).messages].find(h => h.mime2DecodedSubject == subject);
const answer = arguments[arguments.length - 1];
`

// run carries out a script that calls answer with what it has to say.
func (m *marionette) run(script string, out any) {
	m.t.Helper()
	var result struct{ Value json.RawMessage }
	err := json.Unmarshal(m.call("WebDriver:ExecuteAsyncScript", map[string]any{"script": prelude + script, "args": []any{}}), &result)
	if err == nil && out != nil {
		err = json.Unmarshal(result.Value, out)
	}
	if err != nil {
		m.t.Fatalf("%s: %v", script, err)
	}
}

// do carries out a script that has nothing to say.
func (m *marionette) do(script string) {
	m.t.Helper()
	m.run(script+"; answer(null)", nil)
}

// await waits until an expression holds.
func (m *marionette) await(expression string) {
	m.t.Helper()
	harness.Await(m.t, expression, func() (ok bool) {
		m.run("answer(!!("+expression+"))", &ok)
		return ok
	})
}
