{{- define "name" }}{{ .Values.classifier | default .Chart.Name }}{{ end }}
{{- define "class" }}{{ .Values.class | default (regexReplaceAll "[0-9]+$" (include "name" .) "") }}{{ end }}
{{- define "labels" }}
csc: {{ .Chart.Name }}
csc-name: {{ include "name" . }}
csc-class: {{ include "class" . }}
{{- end }}
