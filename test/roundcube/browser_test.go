package roundcube

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/angarium/angarium/test/harness"
)

// browser is a headless Chromium, driven by WebDriver (https://www.w3.org/TR/webdriver2/).
type browser struct {
	t       *testing.T
	session string // URL
	shots   string // directory of screenshots, "" for none
}

// open starts a browser with an empty profile.
func open(t *testing.T) *browser {
	t.Helper()
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	harness.MustRun(t, nil, nil, "chromedriver", "--port="+port)
	b := &browser{t: t, session: "http://" + addr, shots: os.Getenv("ANGARIUM_TEST_SCREENSHOTS")}
	harness.Await(t, "chromedriver", func() bool {
		var status struct{ Ready bool }
		return b.call("GET", "/status", nil, &status) == nil && status.Ready
	})
	args := []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--disable-dev-shm-usage", "--window-size=1400,900", "--user-data-dir=" + t.TempDir()}
	var made struct{ SessionID string }
	err := b.call("POST", "/session", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"goog:chromeOptions": map[string]any{"binary": look(t, "chromium"), "args": args}}}}, &made)
	if err != nil {
		t.Fatal(err)
	}
	root := b.session
	b.session += "/session/" + made.SessionID
	t.Cleanup(func() {
		if t.Failed() {
			b.shot("failed")
		}
		if err := (&browser{session: root}).call("DELETE", "/session/"+made.SessionID, nil, nil); err != nil {
			t.Error(err)
		}
	})
	return b
}

// call is one WebDriver command.
func (b *browser) call(method, path string, in, out any) error {
	body := []byte("{}")
	if in != nil {
		body, _ = json.Marshal(in)
	}
	req, err := http.NewRequest(method, b.session+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 60 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	answer := struct{ Value any }{out}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %.300s", method, path, text)
	}
	return json.Unmarshal(text, &answer)
}

func (b *browser) must(method, path string, in, out any) {
	b.t.Helper()
	if err := b.call(method, path, in, out); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) visit(url string) {
	b.t.Helper()
	b.must("POST", "/url", map[string]string{"url": url}, nil)
}

// element waits for the element that a CSS selector finds and returns its path.
func (b *browser) element(css string) (path string) {
	b.t.Helper()
	harness.Await(b.t, css, func() bool {
		var found map[string]string
		if b.call("POST", "/element", map[string]string{"using": "css selector", "value": css}, &found) != nil {
			return false
		}
		for _, id := range found {
			path = "/element/" + id
		}
		return true
	})
	return path
}

// click clicks on an element when it can be clicked on.
func (b *browser) click(css string) {
	b.t.Helper()
	var err error
	harness.Await(b.t, "a click on "+css, func() bool {
		err = b.call("POST", b.element(css)+"/click", nil, nil)
		return err == nil
	})
}

// enter replaces the text of a field; "\uE007" is the key Enter.
func (b *browser) enter(css, text string) {
	b.t.Helper()
	e := b.element(css)
	b.must("POST", e+"/clear", nil, nil)
	b.must("POST", e+"/value", map[string]string{"text": text}, nil)
}

// eval returns what JavaScript returns.
func (b *browser) eval(script string, out any) {
	b.t.Helper()
	b.must("POST", "/execute/sync", map[string]any{"script": script, "args": []any{}}, out)
}

// until waits until a JavaScript expression is true.
func (b *browser) until(expression string) {
	b.t.Helper()
	harness.Await(b.t, expression, func() bool {
		var ok bool
		err := b.call("POST", "/execute/sync", map[string]any{"script": "return !!(" + expression + ")", "args": []any{}}, &ok)
		return err == nil && ok
	})
}

// shot keeps a picture of the page where somebody wants to see it.
func (b *browser) shot(name string) {
	if b.shots == "" {
		return
	}
	var png string
	if err := b.call("GET", "/screenshot", nil, &png); err != nil {
		b.t.Log(err)
		return
	}
	image, _ := base64.StdEncoding.DecodeString(png)
	if err := os.WriteFile(filepath.Join(b.shots, name+".png"), image, 0o600); err != nil {
		b.t.Log(err)
	}
}
