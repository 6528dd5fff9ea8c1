package visible

import "reflect"

// Copy returns a copy of a value in which every text is [Text]. Values with fields that are
// not exported, such as times, are copied as they are, and so are maps.
func Copy[T any](v T) T { return visibleCopy(reflect.ValueOf(&v).Elem()).Interface().(T) }

func visibleCopy(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.String:
		out.SetString(Text(v.String()))
	case reflect.Struct:
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(visibleCopy(v.Field(i)))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			out = reflect.Append(out, visibleCopy(v.Index(i)))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(visibleCopy(v.Elem()))
		}
	case reflect.Interface:
		if !v.IsNil() {
			out.Set(visibleCopy(v.Elem()))
		}
	default:
		out.Set(v)
	}
	return out
}
