"""edgebat: big battery-ageing models, distilled into tiny int8 students for a battery management system.

Importing this package costs NumPy and nothing else. The parts::

    edgebat.tasks       health, forecast, life: windows, heads, scores    NumPy
    edgebat.graph       the integer graph, one model for every engine     NumPy
    edgebat.runtime     runs it                                           NumPy
    edgebat.predict     a user's file in, the heads of a model out        NumPy
    edgebat.data        corpora, cycler files, a synthetic fleet          pip install 'edgebat[data]'
    edgebat.baselines   plain predictors of each task                     pip install 'edgebat[train]'
    edgebat.teachers, .students, .distill, .quantize                      pip install 'edgebat[train]'
    edgebat.formats     .tflite, .onnx, C99                               NumPy to read; [onnx], [tflite] to write
    edgebat.simulate    microcontrollers: instructions, flash, RAM        pip install 'edgebat[sim]'
    edgebat.report      card and HTML report                              pip install 'edgebat[report]'

The command line, ``edgebat --help``, has one verb for each of them.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
