package sqs

import (
	"testing"

	"weir.dev/weir/internal/model"
)

// TestAttributesMD5 holds the digests to what SQS itself answered.
func TestAttributesMD5(t *testing.T) {
	str := func(name, value string) model.MessageAttr {
		return model.MessageAttr{Name: name, DataType: "String", Value: value}
	}
	for _, c := range []struct {
		attrs []model.MessageAttr
		want  string
	}{
		{nil, ""},
		{[]model.MessageAttr{str("Hello", "World")}, "7db7fb1ba7f41366a8ea5eb18220b26d"},
		{[]model.MessageAttr{str("Foo", "Bar")}, "ae7155c6026991b6d54b11589678bf9c"},
		{[]model.MessageAttr{str("General", "Kenobi"), str("Hello", "There"), str("Help.Me", "Me")}, "4c360f3fdafd970e05fae2f149d997f5"},
		{[]model.MessageAttr{str("Hello", "There"), str("Help.Me", "Me")}, "83fee93c1bcd8b9a5a923ffacdc636c7"},
		{[]model.MessageAttr{{Name: "UserId", DataType: "Number.bigint", Value: "1234567890123456789012"}}, "797ab158d73dcb5242dedc4412c8e855"},
		{[]model.MessageAttr{{Name: "attr1", DataType: "Binary", Value: "traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01"}},
			"8cbe4db156db8a94db8b801b7addb984"},
		{[]model.MessageAttr{str("Dummy1Name", "dummy 1 value"), str("Dummy2Name", "dummy 2 value"),
			{Name: "Dummy3Name", DataType: "Binary", Value: "dummy 2 value"}}, "c5c0d2c6f195fcbc91083c5465d8955f"},
	} {
		if got := attributesMD5(c.attrs).V; got != c.want {
			t.Errorf("%v: %s, want %s", c.attrs, got, c.want)
		}
	}
	if got := systemMD5("some-trace-id").V; got != "fdce4f2818803f2f73becc09a54792c0" {
		t.Errorf("system attributes: %s", got)
	}
	if got := newTexts(1, 0).bodyMD5([]byte("Test Message")).V; got != "d1d4180b7e411c4be86b00fb2ee103eb" {
		t.Errorf("body: %s", got)
	}
}

// TestReceivedAttributesAreSorted receives what a pipe put aside: its own
// attributes come after the sender's.
func TestReceivedAttributesAreSorted(t *testing.T) {
	text := func(name string) model.MessageAttr {
		return model.MessageAttr{Name: name, DataType: "String", Value: "v"}
	}
	stored := []model.MessageAttr{text("b"), text("c"), text("a")}
	var m Message
	(&call{}).message(&m, &model.Received{Message: model.Message{Attrs: stored}}, newTexts(1, 0), nil, []string{"All"})
	want := attributesMD5([]model.MessageAttr{text("a"), text("b"), text("c")})
	if m.MD5OfMessageAttributes != want || len(m.MessageAttributes) != 3 || m.MessageAttributes[0].Key != "a" {
		t.Errorf("received %v with digest %s", m.MessageAttributes, m.MD5OfMessageAttributes.V)
	}
	if stored[0].Name != "b" {
		t.Error("the stored attributes were moved")
	}
}
