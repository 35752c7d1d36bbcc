package expr

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"weir.dev/weir/internal/model"
)

// TestScripts runs the scripts in testdata. Each line of a command's input is
// one expression and gives one line of output for each defined item. Compiled
// forms are used only after a round trip through their stored form.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".txt") {
			return
		}
		defs := &definitions{}
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			if td.Cmd == "define" {
				defs = define(t, td.Input)
				return ""
			}
			var out strings.Builder
			params := defs.params(t)
			for _, text := range strings.Split(td.Input, "\n") {
				out.WriteString(run(t, td, defs, params, text))
			}
			if td.HasArg("unused") {
				fmt.Fprintln(&out, verdict(t, params.CheckUnused()))
			}
			return out.String()
		})
	})
}

// run runs one expression of a script's command.
func run(t *testing.T, td *datadriven.TestData, defs *definitions, params *Params, text string) string {
	switch td.Cmd {
	case "eval":
		c, err := ParseCondition(text, params)
		if err != nil {
			return verdict(t, err) + "\n"
		}
		c = again(t, c, DecodeCondition)
		if len(defs.items) == 0 {
			return "ok\n"
		}
		var got []string
		for _, it := range defs.items {
			got = append(got, fmt.Sprint(c.Eval(it)))
		}
		return strings.Join(got, " ") + "\n"
	case "filter":
		c, err := ParseFilter(text, params)
		if err == nil {
			err = c.CheckKeys("id", "ts")
		}
		if err == nil {
			err = c.CheckQueryFilter("id", "ts")
		}
		return verdict(t, err) + "\n"
	case "update":
		return runUpdate(t, td, defs, params, text)
	case "project":
		p, err := ParseProjection(text, params)
		if err == nil {
			err = p.CheckKeys("id", "ts")
		}
		if err != nil {
			return verdict(t, err) + "\n"
		}
		p = again(t, p, DecodeProjection)
		out := ""
		if len(defs.items) == 0 {
			out = "ok\n"
		}
		for _, it := range defs.items {
			out += formatItem(p.Apply(it)) + "\n"
		}
		return out
	case "key":
		return runKey(t, params, td, text)
	default:
		t.Fatalf("unknown command %s", td.Cmd)
		return ""
	}
}

func runUpdate(t *testing.T, td *datadriven.TestData, defs *definitions, params *Params, text string) string {
	u, err := ParseUpdate(text, params)
	if err != nil {
		return verdict(t, err) + "\n"
	}
	u = again(t, u, DecodeUpdate)
	out := ""
	if len(defs.items) == 0 {
		out = "ok\n"
	}
	for _, it := range defs.items {
		before := formatItem(it)
		next, err := u.Apply(it, "id", "ts")
		if formatItem(it) != before {
			t.Errorf("%s changed the item that it was given", text)
		}
		if err != nil {
			out += verdict(t, err) + "\n"
			continue
		}
		if d := model.NewDecoder(model.AppendItem(nil, next)); !model.DecodeItem(d).Equal(next) || d.Done() != nil {
			t.Errorf("%s gave an item that cannot be stored: %s", text, formatItem(next))
		}
		if td.HasArg("returned") {
			out += "old " + formatItem(u.UpdatedOld(it)) + " new " + formatItem(u.UpdatedNew(next)) + "\n"
			continue
		}
		out += formatItem(next) + "\n"
	}
	return out
}

func runKey(t *testing.T, params *Params, td *datadriven.TestData, text string) string {
	k, err := ParseKeyCondition(text, params)
	if err != nil {
		return verdict(t, err) + "\n"
	}
	attr := func(arg string) (a model.KeyAttr) {
		var kind string
		if !td.HasArg(arg) {
			return a
		}
		td.ScanArgs(t, arg, &a.Name, &kind)
		a.Kind, _ = model.ParseKind(kind)
		return a
	}
	hash, sort, err := k.Resolve(attr("partition"), attr("sort"))
	if err != nil {
		return verdict(t, err) + "\n"
	}
	if sort == nil {
		return format(hash) + "\n"
	}
	names := []string{"", "=", "<", "<=", ">", ">=", "between", "begins_with"}
	out := fmt.Sprintf("%s %s %s", format(hash), names[sort.Op], format(sort.Value))
	if sort.Op == SortBetween {
		out += " " + format(sort.High)
	}
	return out + "\n"
}

// verdict is the error's message; it must be a validation error.
func verdict(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return "ok"
	}
	if e := (*model.Error)(nil); !errors.As(err, &e) || e.Kind != model.ErrValidation {
		t.Errorf("not a validation error: %v", err)
	}
	return "error: " + err.Error()
}

// stored is what has a stored form.
type stored interface {
	Append(dst []byte) []byte
}

// again returns x as it comes back from its stored form.
func again[T stored](t testing.TB, x T, decode func(*model.Decoder) T) T {
	t.Helper()
	enc := x.Append(nil)
	d := model.NewDecoder(enc)
	back := decode(d)
	if err := d.Done(); err != nil {
		t.Fatalf("%x does not decode: %v", enc, err)
	}
	if !bytes.Equal(back.Append(nil), enc) {
		t.Fatalf("%x comes back as %x", enc, back.Append(nil))
	}
	for cut := range enc {
		d := model.NewDecoder(enc[:cut])
		if decode(d); d.Done() == nil {
			t.Fatalf("%x cut at %d decodes", enc, cut)
		}
	}
	return back
}
