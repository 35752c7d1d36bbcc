package dynamo

import (
	"strings"
	"testing"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
)

func readItem(text string) (model.Item, awsapi.Fault, *awsapi.Error) {
	d := awsapi.NewDecoder(text)
	item := decodeItem(d, "Item")
	err := d.Done()
	return item, d.Fault(), err
}

func TestValuesAreReadAndWritten(t *testing.T) {
	nested := strings.Repeat(`{"L":[`, model.MaxNesting) + `{"S":"x"}` + strings.Repeat(`]}`, model.MaxNesting)
	for _, c := range []struct{ in, want string }{
		{`{}`, `{}`},
		{`{"b":{"S":"x"},"a":{"N":"1.50"}}`, `{"a":{"N":"1.5"},"b":{"S":"x"}}`},
		{`{"a":{"S":"1"},"a":{"S":"2"}}`, `{"a":{"S":"2"}}`},
		{`{"a":{"B":"AAEC"},"n":{"NULL":true},"t":{"BOOL":true},"f":{"BOOL":false}}`,
			`{"a":{"B":"AAEC"},"f":{"BOOL":false},"n":{"NULL":true},"t":{"BOOL":true}}`},
		{`{"a":{"NS":["2","1e1","1"]},"b":{"SS":["b","a"]},"c":{"BS":["Yg==","YQ=="]}}`,
			`{"a":{"NS":["1","2","10"]},"b":{"SS":["a","b"]},"c":{"BS":["YQ==","Yg=="]}}`},
		{`{"a":{"M":{"y":{"L":[]},"x":{"M":{}}}}}`, `{"a":{"M":{"x":{"M":{}},"y":{"L":[]}}}}`},
		{`{"a":{"S":"\ud83d\ude00\"\n"}}`, `{"a":{"S":"😀\"\n"}}`},
		{`{"a":{"S":"x","Unknown":{"y":[1]},"N":null}}`, `{"a":{"S":"x"}}`},
		{`{"a":` + nested + `}`, `{"a":` + nested + `}`},
	} {
		item, fault, err := readItem(c.in)
		if err != nil || fault.Message != "" {
			t.Errorf("%s: %v %q", c.in, err, fault.Message)
			continue
		}
		if got := string(appendItem(nil, item)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestValueFaults(t *testing.T) {
	deep := strings.Repeat(`{"L":[`, model.MaxNesting+1) + strings.Repeat(`]}`, model.MaxNesting+1)
	const p = "One or more parameter values were invalid: "
	for _, c := range []struct{ in, want string }{
		{`{"a":{}}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{`{"a":{"a":""}}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{`{"a":null}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{`{"a":{"L":[{}]}}`, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{`{"a":{"S":"a","N":"1"}}`, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"},
		{`{"a":{"S":"a","N":"b"}}`, "The parameter cannot be converted to a numeric value: b"},
		{`{"a":{"N":""}}`, "The parameter cannot be converted to a numeric value"},
		{`{"a":{"NULL":false}}`, p + "Null attribute value types must have the value of true"},
		{`{"a":{"SS":[]}}`, p + "An string set  may not be empty"},
		{`{"a":{"NS":[]}}`, p + "An number set  may not be empty"},
		{`{"a":{"BS":[]}}`, p + "Binary sets should not be empty"},
		{`{"a":{"SS":["a","a"]}}`, p + "Input collection [a, a] contains duplicates."},
		{`{"a":{"NS":["1","1.0"]}}`, "Input collection contains duplicates"},
		{`{"a":{"BS":["Yg==","Yg=="]}}`, p + "Input collection [Yg==, Yg==]of type BS contains duplicates."},
		{`{"a":` + deep + `}`, "Nesting Levels have exceeded supported limits"},
	} {
		_, fault, err := readItem(c.in)
		if err != nil || fault.Message != c.want {
			t.Errorf("%s: %q, want %q (%v)", c.in, fault.Message, c.want, err)
		}
		if fault.Key != "a" || fault.Member != "Item" {
			t.Errorf("%s: the fault is at %s.%s", c.in, fault.Member, fault.Key)
		}
	}
}

func FuzzItem(f *testing.F) {
	f.Add(`{"a":{"S":"x"},"b":{"N":"1"},"c":{"BS":["Yg=="]},"d":{"M":{"e":{"L":[{"NULL":true},{"BOOL":false}]}}}}`)
	f.Add(`{"a":{"NS":["1","1.0"]}}`)
	f.Add(`{"a":{"N":"-1e-130"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		item, fault, err := readItem(text)
		if err != nil || fault.Message != "" {
			return
		}
		written := appendItem(nil, item)
		again, fault, err := readItem(string(written))
		if err != nil || fault.Message != "" || !item.Equal(again) {
			t.Fatalf("%q became %q: %v %q", text, written, err, fault.Message)
		}
		if d := model.NewDecoder(model.AppendItem(nil, item)); !item.Equal(model.DecodeItem(d)) || d.Done() != nil {
			t.Fatalf("%q does not survive its stored form", text)
		}
	})
}
